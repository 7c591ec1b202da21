// Tests the Health page with faults: WHOOP is slow or fails, the quota is used up, the server does not answer.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertClean, card, checkAndCapture, launch, notice, openWindow, phase, VIEWPORTS } from './lib/browser.mjs';
import { startTestEnv } from './lib/test-env.mjs';

for (const viewport of Object.keys(VIEWPORTS)) {
  describe(`the Health page with faults, ${viewport}`, () => {
    let env, browser, page, seen, user;

    before(async () => {
      // Stored data is stale after three seconds.
      env = await startTestEnv({ FRESHNESS_SECONDS: '3', API_REQUESTS_PER_MINUTE: '120' });
      browser = await launch();
      ({ page, seen } = await openWindow(browser, env, viewport));
      user = await env.memberWithRecoveryToday(`member-${viewport}`);
      await page.goto(env.page(user));
      await waitForStoredDay();
    });

    after(async () => {
      await browser?.close();
      await env?.stop();
    });

    /** Waits until the stored data is stale. */
    const waitUntilStale = async () => {
      while (!(await env.day(user)).meta.stale);
    };
    const waitForStoredDay = () => card(page, 'recovery').getByText('%').first().waitFor();

    it('shows the stored data while the API reads WHOOP, and a notice if that takes long', async () => {
      await env.faults([{ route: '*', kind: 'latency', millis: 4000 }]);
      await waitUntilStale();
      await page.reload();
      await waitForStoredDay();
      await page.getByRole('button', { name: 'Updating' }).waitFor();
      await notice(page, 'stale').getByText('Last synced').waitFor();
      await checkAndCapture(page, viewport, '20-stale');
      await env.faults([]);
      // The first data type is stale again when the sync has ended.
      await notice(page, 'stale').getByRole('button', { name: 'Refresh' }).click();
      await notice(page, 'stale').waitFor({ state: 'detached' });
      // The notice disappears with the click; the sync ends later.
      while ((await env.day(user)).meta.stale);
    });

    it('shows that WHOOP does not answer, and refreshes when it answers again', async () => {
      await env.faults([{ route: '*', kind: 'status', status: 503 }]);
      await waitUntilStale();
      await page.reload();
      await notice(page, 'failed').waitFor();
      await waitForStoredDay();
      await checkAndCapture(page, viewport, '21-whoop-down');
      await env.faults([]);
      await notice(page, 'failed').getByRole('button', { name: 'Refresh' }).click();
      await notice(page, 'failed').waitFor({ state: 'detached' });
      while ((await env.day(user)).meta.stale);
    });

    it('shows that the quota is used up', async () => {
      await env.faults([{ route: '*', kind: 'rate_limited' }]);
      await waitUntilStale();
      await page.reload();
      await notice(page, 'quota').waitFor();
      await waitForStoredDay();
      await checkAndCapture(page, viewport, '22-quota');
      await env.faults([]);
    });

    it('shows that the member has sent too many requests', async () => {
      const token = env.token(user);
      for (let n = 0; n < 130; n += 1) {
        const { status } = await fetch(`${env.api}/api/v1/whoop/connection/${user}`, { headers: { authorization: `Bearer ${token}` } });
        if (status === 429) break;
      }
      await page.reload();
      await notice(page, 'problem-429').getByText('Too many requests').waitFor();
      await checkAndCapture(page, viewport, '23-too-many');
    });

    it('reports an expired token, and continues with a new one', async () => {
      const other = await openWindow(browser, env, viewport);
      await other.page.goto(`${env.api}/#token=${env.token(user, -60)}`);
      await other.page.getByText('Your sign-in has expired').waitFor();
      await checkAndCapture(other.page, viewport, '24-expired');
      // The app passes a new token without loading the page again.
      await other.page.evaluate((token) => { location.hash = `token=${token}`; }, env.token(`other-${viewport}`));
      await other.page.getByRole('button', { name: 'Connect WHOOP' }).waitFor();
      assert.ok(!other.page.url().includes('token'));
      assertClean(other.seen);
      await other.context.close();
    });

    it('deletes the data of one member when another signs in', async () => {
      const shared = await openWindow(browser, env, viewport);
      await shared.page.goto(env.page(user));
      await phase(shared.page, 'day');
      await shared.page.evaluate((token) => { location.hash = `token=${token}`; }, env.token(`next-${viewport}`));
      await shared.page.getByRole('button', { name: 'Connect WHOOP' }).waitFor();
      const stored = await shared.page.evaluate(async () => ({
        databases: (await indexedDB.databases()).map(({ name }) => name),
        text: JSON.stringify({ ...localStorage }),
      }));
      assert.deepEqual(stored.databases, [`health:next-${viewport}`]);
      assert.ok(!stored.text.includes(user), stored.text);
      await shared.context.close();
    });

    it('shows the data on the device if the server cannot be reached', async () => {
      await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
      await env.stop();
      await page.reload();
      await notice(page, 'unreachable').waitFor();
      await waitForStoredDay();
      await checkAndCapture(page, viewport, '25-server-unreachable');
      env = null;
    });

    it('logs no error and requests no other host', () => assertClean(seen));
  });
}

describe('the Health page on another host than localhost', () => {
  let env, browser;
  before(async () => {
    env = await startTestEnv();
    browser = await launch(['--host-resolver-rules=MAP health.test 127.0.0.1']);
  });
  after(async () => {
    await browser?.close();
    await env?.stop();
  });

  it('connects in a second window, and forgets the token at a reload', async () => {
    const address = env.api.replace('127.0.0.1', 'health.test');
    const { context, page } = await openWindow(browser, env, 'phone', { hosts: [new URL(address).host] });
    await page.goto(`${address}/#token=${env.token('outside')}`);
    const opened = context.waitForEvent('page');
    await page.getByRole('button', { name: 'Connect WHOOP' }).click();
    const secondWindow = await opened;
    await secondWindow.waitForURL(/oauth2\/auth/);
    await page.getByText('WHOOP was opened in another window').waitFor();
    await secondWindow.click('button[value=allow]');
    await secondWindow.getByRole('heading', { name: 'WHOOP is connected' }).waitFor();
    await checkAndCapture(secondWindow, 'phone', '30-connected-in-second-window');
    await phase(page, 'day');
    await page.reload();
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });
});
