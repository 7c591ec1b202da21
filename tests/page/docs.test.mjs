// Tests /docs, the browsable description of the API.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertClean, launch, openWindow } from './lib/browser.mjs';
import { startTestEnv } from './lib/test-env.mjs';

describe('/docs', () => {
  let env, browser;
  before(async () => {
    env = await startTestEnv();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await env?.stop();
  });

  it('lists every operation, and requests no other host', async () => {
    const { paths } = await (await fetch(`${env.api}/openapi.json`)).json();
    const described = Object.values(paths).flatMap(Object.keys).length;
    const { page, seen } = await openWindow(browser, env, 'desk');
    await page.goto(`${env.api}/docs`);
    await page.locator('.opblock').nth(described - 1).waitFor();
    assert.equal(await page.locator('.opblock').count(), described);
    assertClean(seen);
  });
});
