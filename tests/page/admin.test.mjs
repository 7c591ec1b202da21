// The operator's page: the numbers, the inbox, and what the doctor finds.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { assertClean, connect, launch, look, openWindow, phase, VIEWPORTS } from './lib/browser.mjs';
import { now, startStage } from './lib/stage.mjs';

/** What the simulator's app signs with, as the demo sets it up. */
const CLIENT_SECRET = 'whoop-sim-secret';

/** A webhook of a member who never connected, as WHOOP would send it. */
async function webhookOfNobody(stage) {
  const body = JSON.stringify({ user_id: 987654321, id: 'c3f0a6d4-9d2e-4f5b-8c1a-2b7e6d5c4a39', type: 'sleep.updated', trace_id: 'd2a1' });
  const timestamp = String(now());
  const signature = createHmac('sha256', CLIENT_SECRET).update(timestamp + body).digest('base64');
  const response = await fetch(`${stage.api}/webhooks/whoop`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-whoop-signature': signature, 'x-whoop-signature-timestamp': timestamp },
    body,
  });
  assert.equal(response.status, 204);
}

for (const viewport of Object.keys(VIEWPORTS)) {
  describe(`the operator's page, ${viewport}`, () => {
    let stage, browser, page, seen;

    before(async () => {
      stage = await startStage();
      browser = await launch();
      ({ page, seen } = await openWindow(browser, stage, viewport));
      await page.goto(stage.page('alice'));
      await connect(page);
      await phase(page, 'day');
      await webhookOfNobody(stage);
    });

    after(async () => {
      await browser?.close();
      await stage?.stop();
    });

    const open = async (key) => {
      await page.getByLabel('Service key').fill(key);
      await page.getByRole('button', { name: 'Open' }).click();
    };

    it('opens for a service key alone', async () => {
      await page.goto(`${stage.api}/admin`);
      await open(stage.token('alice'));
      await page.getByRole('alert').getByText('needs a service key').waitFor();
      await look(page, viewport, '40-admin-refused');
      await open(stage.serviceKey);
      await page.getByRole('heading', { name: 'Members' }).waitFor();
    });

    it('shows the numbers of the API', async () => {
      const { members, quota } = await stage.ask('GET', '/api/v1/whoop/admin/status');
      assert.equal(members.connected, 1);
      const shown = (name) => page.locator('dt', { hasText: new RegExp(`^${name}$`) }).locator('xpath=following-sibling::dd').innerText();
      assert.equal(await shown('connected'), '1');
      assert.equal(await shown('left of 24 hours'), `${quota.left_in_day} of ${quota.calls_per_day}`);
      assert.ok(quota.left_in_day < quota.calls_per_day);
    });

    it('lists the webhooks by their state, and has one worked off again', async () => {
      await page.getByRole('button', { name: 'unknown member 1' }).click();
      await page.getByRole('cell', { name: '987654321' }).waitFor();
      await look(page, viewport, '41-admin');
      await page.getByRole('button', { name: /Replay event/ }).click();
      await page.getByText('1 to be worked off again').waitFor();
      // Still of nobody.
      let counts;
      do ({ counts } = await stage.ask('GET', '/api/v1/whoop/admin/webhooks')); while (counts.pending);
      assert.equal(counts.unknown_member, 1);
    });

    it('has the doctor look, for one call to WHOOP', async () => {
      const before = await stage.calls();
      await page.getByRole('button', { name: 'Look now' }).click();
      await page.getByRole('cell', { name: 'no run has ever finished' }).waitFor();
      const { api, oauth } = await stage.calls();
      // Whether WHOOP knows the app is asked at the token endpoint, which counts for no quota.
      assert.deepEqual([api - before.api, oauth - before.oauth], [1, 1]);
      await look(page, viewport, '42-admin-doctor');
    });

    it('forgets the key with the page', async () => {
      await page.reload();
      await page.getByLabel('Service key').waitFor();
      assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }).includes('key')), false);
    });

    it('made no error and asked no other host', () => assertClean(seen));
  });
}
