// /docs: the API, browsable, with nothing from another host.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertClean, launch, openWindow } from './lib/browser.mjs';
import { startStage } from './lib/stage.mjs';

describe('/docs', () => {
  let stage, browser;
  before(async () => {
    stage = await startStage();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await stage?.stop();
  });

  it('lists every operation, and asks no other host', async () => {
    const { paths } = await (await fetch(`${stage.api}/openapi.json`)).json();
    const described = Object.values(paths).flatMap(Object.keys).length;
    const { page, seen } = await openWindow(browser, stage, 'desk');
    await page.goto(`${stage.api}/docs`);
    await page.locator('.opblock').nth(described - 1).waitFor();
    assert.equal(await page.locator('.opblock').count(), described);
    assertClean(seen);
  });
});
