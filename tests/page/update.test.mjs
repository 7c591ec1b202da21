// Tests the service worker during a rollout, when servers with two builds of the page answer.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { assertClean, launch, openWindow } from './lib/browser.mjs';
import { startTestEnv } from './lib/test-env.mjs';

/** Starts a proxy to `target` that appends a text to the paths in `changes`, so that they look like another build. */
function startProxy(target, changes) {
  const server = createServer(async (request, response) => {
    const original = await fetch(target + request.url, { headers: { authorization: request.headers.authorization ?? '' } });
    const body = Buffer.from(await original.arrayBuffer());
    const appended = changes.get(request.url) ?? '';
    response.writeHead(original.status, {
      'content-type': original.headers.get('content-type') ?? 'text/plain',
      'cache-control': 'no-cache',
    });
    response.end(Buffer.concat([body, Buffer.from(appended)]));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** Registers the service worker. Returns its final state and the number of files that it has stored. */
const installWorker = (page) => page.evaluate(async () => {
  const registration = await navigator.serviceWorker.register('/sw.js', { scope: '/', updateViaCache: 'none' });
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  await new Promise((resolve) => {
    const checkState = () => ['activated', 'redundant'].includes(worker.state) && resolve();
    worker.addEventListener('statechange', checkState);
    checkState();
  });
  const counts = await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).length));
  return { state: worker.state, files: counts.reduce((sum, count) => sum + count, 0) };
});

describe('the service worker during a rollout', () => {
  const changes = new Map();
  let env, server, browser, page, seen, url;

  before(async () => {
    env = await startTestEnv();
    server = await startProxy(env.api, changes);
    url = `http://127.0.0.1:${server.address().port}`;
    browser = await launch();
    ({ page, seen } = await openWindow(browser, env, 'desk', { hosts: [new URL(url).host] }));
  });

  after(async () => {
    await browser?.close();
    server?.close();
    await env?.stop();
  });

  for (const path of ['/page/cards.js', '/']) {
    it(`stores no file if ${path} is from another build`, async () => {
      changes.set(path, '\n');
      await page.goto(url);
      await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
      assert.deepEqual(await installWorker(page), { state: 'redundant', files: 0 });
      changes.clear();
    });
  }

  it('stores all files if every server has the same build', async () => {
    await page.goto(url);
    const { state, files } = await installWorker(page);
    assert.equal(state, 'activated');
    assert.ok(files > 15, `${files} files`);
    assertClean(seen);
  });
});
