// The Health page where something is wrong: WHOOP slow, away, or spent; the server gone.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertClean, card, launch, look, notice, openWindow, phase, VIEWPORTS } from './lib/browser.mjs';
import { startStage } from './lib/stage.mjs';

for (const viewport of Object.keys(VIEWPORTS)) {
  describe(`the Health page in trouble, ${viewport}`, () => {
    let stage, browser, page, seen, user;

    before(async () => {
      // What is older than three seconds is worth asking WHOOP for.
      stage = await startStage({ FRESHNESS_SECONDS: '3', API_REQUESTS_PER_MINUTE: '120' });
      browser = await launch();
      ({ page, seen } = await openWindow(browser, stage, viewport));
      user = await stage.memberOfToday(`member-${viewport}`);
      await page.goto(stage.page(user));
      await stored();
    });

    after(async () => {
      await browser?.close();
      await stage?.stop();
    });

    /** Until what is stored is older than it should be. */
    const stale = async () => {
      while (!(await stage.day(user)).meta.stale);
    };
    const stored = () => card(page, 'recovery').getByText('%').first().waitFor();

    it('shows what is stored while WHOOP is asked, and says so if that takes long', async () => {
      await stage.faults([{ route: '*', kind: 'latency', millis: 4000 }]);
      await stale();
      await page.reload();
      await stored();
      await page.getByRole('button', { name: 'Asking WHOOP' }).waitFor();
      await notice(page, 'stale').getByText('Last synced').waitFor();
      await look(page, viewport, '20-stale');
      await stage.faults([]);
      // It took so long that the first of what was read is old again.
      await notice(page, 'stale').getByRole('button', { name: 'Refresh' }).click();
      await notice(page, 'stale').waitFor({ state: 'detached' });
      // The notice goes with the click, and the read ends later.
      while ((await stage.day(user)).meta.stale);
    });

    it('says that WHOOP does not answer, and tries again when it does', async () => {
      await stage.faults([{ route: '*', kind: 'status', status: 503 }]);
      await stale();
      await page.reload();
      await notice(page, 'failed').waitFor();
      await stored();
      await look(page, viewport, '21-whoop-down');
      await stage.faults([]);
      await notice(page, 'failed').getByRole('button', { name: 'Refresh' }).click();
      await notice(page, 'failed').waitFor({ state: 'detached' });
      while ((await stage.day(user)).meta.stale);
    });

    it('says that the quota is spent', async () => {
      await stage.faults([{ route: '*', kind: 'rate_limited' }]);
      await stale();
      await page.reload();
      await notice(page, 'quota').waitFor();
      await stored();
      await look(page, viewport, '22-quota');
      await stage.faults([]);
    });

    it('waits where a member asks too often', async () => {
      const token = stage.token(user);
      for (let n = 0; n < 130; n += 1) {
        const { status } = await fetch(`${stage.api}/api/v1/whoop/connection/${user}`, { headers: { authorization: `Bearer ${token}` } });
        if (status === 429) break;
      }
      await page.reload();
      await notice(page, 'problem-429').getByText('Too many requests').waitFor();
      await look(page, viewport, '23-too-many');
    });

    it('takes a token that is over for what it is', async () => {
      const other = await openWindow(browser, stage, viewport);
      await other.page.goto(`${stage.api}/#token=${stage.token(user, -60)}`);
      await other.page.getByText('Your sign-in has ended').waitFor();
      await look(other.page, viewport, '24-expired');
      // The app hands over a new one, without opening the page anew.
      await other.page.evaluate((token) => { location.hash = `token=${token}`; }, stage.token(`other-${viewport}`));
      await other.page.getByRole('button', { name: 'Connect WHOOP' }).waitFor();
      assert.ok(!other.page.url().includes('token'));
      assertClean(other.seen);
      await other.context.close();
    });

    it('keeps nothing of one member when another signs in', async () => {
      const shared = await openWindow(browser, stage, viewport);
      await shared.page.goto(stage.page(user));
      await phase(shared.page, 'day');
      await shared.page.evaluate((token) => { location.hash = `token=${token}`; }, stage.token(`next-${viewport}`));
      await shared.page.getByRole('button', { name: 'Connect WHOOP' }).waitFor();
      const kept = await shared.page.evaluate(async () => ({
        databases: (await indexedDB.databases()).map(({ name }) => name),
        text: JSON.stringify({ ...localStorage }),
      }));
      assert.deepEqual(kept.databases, [`health:next-${viewport}`]);
      assert.ok(!kept.text.includes(user), kept.text);
      await shared.context.close();
    });

    it('shows what the device kept when the server is gone', async () => {
      await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
      await stage.stop();
      await page.reload();
      await notice(page, 'away').waitFor();
      await stored();
      await look(page, viewport, '25-server-gone');
      stage = null;
    });

    it('made no error and asked no other host', () => assertClean(seen));
  });
}

describe('the Health page of an app that is not on this machine', () => {
  let stage, browser;
  before(async () => {
    stage = await startStage();
    browser = await launch(['--host-resolver-rules=MAP health.test 127.0.0.1']);
  });
  after(async () => {
    await browser?.close();
    await stage?.stop();
  });

  it('forgets the token with the page, and connects in a window beside it', async () => {
    const outside = stage.api.replace('127.0.0.1', 'health.test');
    const { context, page } = await openWindow(browser, stage, 'phone', { hosts: [new URL(outside).host] });
    await page.goto(`${outside}/#token=${stage.token('outside')}`);
    const opened = context.waitForEvent('page');
    await page.getByRole('button', { name: 'Connect WHOOP' }).click();
    const beside = await opened;
    await beside.waitForURL(/oauth2\/auth/);
    await page.getByText('WHOOP was opened in another window').waitFor();
    await beside.click('button[value=allow]');
    await beside.getByRole('heading', { name: 'WHOOP is connected' }).waitFor();
    await look(beside, 'phone', '30-connected-beside');
    await phase(page, 'day');
    await page.reload();
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });
});
