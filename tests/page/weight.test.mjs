// What the page weighs on the way, and that it is strict about where it comes from.

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { startStage } from './lib/stage.mjs';

const MOST = 100 * 1024;

/** As it comes over the wire: fetch would unpack it. */
const raw = (url) => new Promise((resolve, reject) => {
  get(url, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
    let bytes = 0;
    response.on('data', (chunk) => { bytes += chunk.length; });
    response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, bytes }));
  }).on('error', reject);
});

describe('the page’s files', () => {
  let stage, files;
  before(async () => {
    stage = await startStage();
    const list = await (await fetch(`${stage.api}/page/files.js`)).text();
    files = Object.keys(JSON.parse(/self\.PAGE = (.*);/.exec(list)[1]).files);
  });
  after(() => stage?.stop());

  it('weigh less than 100 KB in all', async () => {
    assert.ok(files.includes('/page/vendor/uPlot.iife.min.js'), 'this build has no charts');
    const answers = await Promise.all(['/', '/sw.js', ...files].map((path) => raw(stage.api + path)));
    assert.ok(answers.every(({ status }) => status === 200));
    const weight = answers.reduce((sum, { bytes }) => sum + bytes, 0);
    console.log(`the page weighs ${(weight / 1024).toFixed(1)} KB in ${answers.length} files, gzip`);
    assert.ok(weight < MOST, `${weight} bytes`);
  });

  it('let nothing in from elsewhere, and no script that stands in the page', async () => {
    for (const path of ['/', '/admin', '/page/health.js']) {
      const { headers } = await raw(stage.api + path);
      const policy = headers['content-security-policy'];
      assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
      assert.doesNotMatch(policy, /unsafe|https?:|\*/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
    }
  });

  it('are asked for again, and not sent again', async () => {
    const url = `${stage.api}/page/health.js`;
    const { headers } = await fetch(url);
    const again = await fetch(url, { headers: { 'if-none-match': headers.get('etag') }, cache: 'no-store' });
    assert.equal(again.status, 304);
  });
});
