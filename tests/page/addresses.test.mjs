// What an address may make the pages say and do, whoever wrote it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertClean, launch, openWindow } from './lib/browser.mjs';
import { startStage } from './lib/stage.mjs';

describe('an address from elsewhere', () => {
  let stage, browser, page, seen;

  before(async () => {
    stage = await startStage();
    browser = await launch();
    const hosts = [new URL(stage.api.replace('127.0.0.1', 'elsewhere.localhost')).host];
    ({ page, seen } = await openWindow(browser, stage, 'desk', { hosts }));
  });
  after(async () => {
    await browser?.close();
    await stage?.stop();
  });

  const GENERIC = 'Something went wrong';

  it('says nothing in words of its own', async () => {
    const phishing = 'Your account is locked, call 0800 123';
    for (const query of [
      `error=${encodeURIComponent(phishing)}`, `status=${encodeURIComponent(phishing)}`,
      'error=constructor', 'error=__proto__', 'error=', 'status=', 'error=other',
    ]) {
      await page.goto(`${stage.api}/?${query}`);
      await page.getByText(GENERIC).waitFor();
      const text = await page.locator('body').innerText();
      assert.ok(!text.includes('locked'), text);
      assert.ok(!text.includes('WHOOP is connected'), text);
    }
  });

  it('has a sentence for each word of the callback', async () => {
    for (const word of [
      'access_denied', 'request_forbidden', 'used_state', 'expired_state', 'invalid_code',
      'quota_spent', 'whoop_unavailable', 'service_refused', 'other_whoop_account',
    ]) {
      await page.goto(`${stage.api}/?error=${word}`);
      await page.getByText('WHOOP was not connected').waitFor();
      const text = await page.locator('main').innerText();
      assert.ok(!text.includes(GENERIC), `${word}: ${text}`);
      assert.ok(!text.includes(word), text);
    }
    await page.goto(`${stage.api}/?status=connected`);
    await page.getByText('WHOOP is connected').waitFor();
  });

  it('hands a service key over on a developer’s own machine alone', async () => {
    const key = encodeURIComponent(stage.serviceKey);
    await page.goto(`${stage.api}/admin#key=${key}`);
    await page.getByRole('heading', { name: 'Members' }).waitFor();
    assert.ok(!page.url().includes('key='), page.url());

    // The browser resolves every name below `localhost` to this machine.
    const elsewhere = stage.api.replace('127.0.0.1', 'elsewhere.localhost');
    await page.goto(`${elsewhere}/admin#key=${key}`);
    await page.getByLabel('Service key').waitFor();
    assert.ok(!page.url().includes('key='), page.url());
    assert.equal(await page.getByRole('heading', { name: 'Members' }).count(), 0);
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  it('puts no script into the page', async () => {
    await page.goto(`${stage.api}/`);
    const refused = await page.evaluate(() => {
      try {
        document.createElement('div').innerHTML = '<img src=x onerror=alert(1)>';
        return false;
      } catch (error) {
        return error instanceof TypeError;
      }
    });
    assert.ok(refused, 'a text became markup');
    // The attempt above is reported in the console, and nothing else is.
    seen.errors = seen.errors.filter((text) => !text.includes('TrustedHTML'));
    assertClean(seen);
  });
});
