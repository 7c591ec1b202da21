// Tests the compressed size, the security headers and the caching of the pages' files.

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { startTestEnv } from './lib/test-env.mjs';

const MAX_BYTES = 100 * 1024;

/** Requests a file without unpacking it, as `fetch` would. Returns the compressed size. */
const requestRaw = (url) => new Promise((resolve, reject) => {
  get(url, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
    let bytes = 0;
    response.on('data', (chunk) => { bytes += chunk.length; });
    response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, bytes }));
  }).on('error', reject);
});

describe('the page’s files', () => {
  let env, files;
  before(async () => {
    env = await startTestEnv();
    const list = await (await fetch(`${env.api}/page/files.js`)).text();
    files = Object.keys(JSON.parse(/self\.PAGE = (.*);/.exec(list)[1]).files);
  });
  after(() => env?.stop());

  it('have less than 100 KB in total', async () => {
    assert.ok(files.includes('/page/vendor/uPlot.iife.min.js'), 'this build has no charts');
    const responses = await Promise.all(['/', '/sw.js', ...files].map((path) => requestRaw(env.api + path)));
    assert.ok(responses.every(({ status }) => status === 200));
    const bytes = responses.reduce((sum, response) => sum + response.bytes, 0);
    console.log(`the page has ${(bytes / 1024).toFixed(1)} KB in ${responses.length} files, gzip`);
    assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
  });

  it('allow no resource of another host, and no inline script', async () => {
    for (const path of ['/', '/admin', '/page/health.js']) {
      const { headers } = await requestRaw(env.api + path);
      const policy = headers['content-security-policy'];
      assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
      assert.doesNotMatch(policy, /unsafe|https?:|\*/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
    }
  });

  it('are not sent again if they are unchanged', async () => {
    const url = `${env.api}/page/health.js`;
    const { headers } = await fetch(url);
    const second = await fetch(url, { headers: { 'if-none-match': headers.get('etag') }, cache: 'no-store' });
    assert.equal(second.status, 304);
  });
});
