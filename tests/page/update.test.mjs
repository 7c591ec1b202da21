// A new build of the pages, while servers of the old one still answer.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { assertClean, launch, openWindow } from './lib/browser.mjs';
import { startStage } from './lib/stage.mjs';

/** Hands everything on; a file of which `another` knows is sent as another build has it. */
function balancer(target, another) {
  const server = createServer(async (request, response) => {
    const answer = await fetch(target + request.url, { headers: { authorization: request.headers.authorization ?? '' } });
    const body = Buffer.from(await answer.arrayBuffer());
    const of = another.get(request.url) ?? '';
    response.writeHead(answer.status, {
      'content-type': answer.headers.get('content-type') ?? 'text/plain',
      'cache-control': 'no-cache',
    });
    response.end(Buffer.concat([body, Buffer.from(of)]));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const ofTheWorker = (page) => page.evaluate(async () => {
  const registration = await navigator.serviceWorker.register('/sw.js', { scope: '/', updateViaCache: 'none' });
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  await new Promise((resolve) => {
    const look = () => ['activated', 'redundant'].includes(worker.state) && resolve();
    worker.addEventListener('statechange', look);
    look();
  });
  const kept = await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).length));
  return { state: worker.state, kept: kept.reduce((sum, one) => sum + one, 0) };
});

describe('the page in a rollout', () => {
  const another = new Map();
  let stage, server, browser, page, seen, url;

  before(async () => {
    stage = await startStage();
    server = await balancer(stage.api, another);
    url = `http://127.0.0.1:${server.address().port}`;
    browser = await launch();
    ({ page, seen } = await openWindow(browser, stage, 'desk', { hosts: [new URL(url).host] }));
  });

  after(async () => {
    await browser?.close();
    server?.close();
    await stage?.stop();
  });

  for (const path of ['/page/cards.js', '/']) {
    it(`keeps nothing of two builds, where ${path} is of the other`, async () => {
      another.set(path, '\n');
      await page.goto(url);
      await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
      assert.deepEqual(await ofTheWorker(page), { state: 'redundant', kept: 0 });
      another.clear();
    });
  }

  it('keeps all of one build once every server has it', async () => {
    await page.goto(url);
    const { state, kept } = await ofTheWorker(page);
    assert.equal(state, 'activated');
    assert.ok(kept > 15, `${kept} files`);
    assertClean(seen);
  });
});
