// Tests what the pages do with an address that another person has written.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertClean, launch, openWindow } from './lib/browser.mjs';
import { startTestEnv } from './lib/test-env.mjs';

describe('an address that another person has written', () => {
  let env, browser, page, seen;

  before(async () => {
    env = await startTestEnv();
    browser = await launch();
    const hosts = [new URL(env.api.replace('127.0.0.1', 'elsewhere.localhost')).host];
    ({ page, seen } = await openWindow(browser, env, 'desk', { hosts }));
  });
  after(async () => {
    await browser?.close();
    await env?.stop();
  });

  const GENERIC = 'Something went wrong';

  it('cannot make the page show a text of its own', async () => {
    const phishing = 'Your account is locked, call 0800 123';
    for (const query of [
      `error=${encodeURIComponent(phishing)}`, `status=${encodeURIComponent(phishing)}`,
      'error=constructor', 'error=__proto__', 'error=', 'status=', 'error=other',
    ]) {
      await page.goto(`${env.api}/?${query}`);
      await page.getByText(GENERIC).waitFor();
      const text = await page.locator('body').innerText();
      assert.ok(!text.includes('locked'), text);
      assert.ok(!text.includes('WHOOP is connected'), text);
    }
  });

  it('shows a text for each error code of the callback', async () => {
    for (const code of [
      'access_denied', 'request_forbidden', 'used_state', 'expired_state', 'invalid_code',
      'quota_spent', 'whoop_unavailable', 'service_refused', 'other_whoop_account',
    ]) {
      await page.goto(`${env.api}/?error=${code}`);
      await page.getByText('WHOOP was not connected').waitFor();
      const text = await page.locator('main').innerText();
      assert.ok(!text.includes(GENERIC), `${code}: ${text}`);
      assert.ok(!text.includes(code), text);
    }
    await page.goto(`${env.api}/?status=connected`);
    await page.getByText('WHOOP is connected').waitFor();
  });

  it('can pass a service key only on a developer’s own machine', async () => {
    const key = encodeURIComponent(env.serviceKey);
    await page.goto(`${env.api}/admin#key=${key}`);
    await page.getByRole('heading', { name: 'Members' }).waitFor();
    assert.ok(!page.url().includes('key='), page.url());

    // Browsers resolve every name below `localhost` to this machine.
    const otherHost = env.api.replace('127.0.0.1', 'elsewhere.localhost');
    await page.goto(`${otherHost}/admin#key=${key}`);
    await page.getByLabel('Service key').waitFor();
    assert.ok(!page.url().includes('key='), page.url());
    assert.equal(await page.getByRole('heading', { name: 'Members' }).count(), 0);
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  it('cannot inject a script into the page', async () => {
    await page.goto(`${env.api}/`);
    const refused = await page.evaluate(() => {
      try {
        document.createElement('div').innerHTML = '<img src=x onerror=alert(1)>';
        return false;
      } catch (error) {
        return error instanceof TypeError;
      }
    });
    assert.ok(refused, 'the browser accepted a text as HTML');
    // The browser reports the attempt above in the console. There must be no other error.
    seen.errors = seen.errors.filter((text) => !text.includes('TrustedHTML'));
    assertClean(seen);
  });
});
