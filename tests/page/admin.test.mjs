// Tests the operator's page: the numbers, the webhook inbox, and the checks of the doctor.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { assertClean, checkAndCapture, connect, launch, openWindow, phase, VIEWPORTS } from './lib/browser.mjs';
import { now, startTestEnv } from './lib/test-env.mjs';

/** The client secret of the demo, with which WHOOP signs webhooks. */
const CLIENT_SECRET = 'whoop-sim-secret';

/** Sends a webhook for a WHOOP account that no member has connected, signed like WHOOP's. */
async function sendWebhookOfUnknownMember(env) {
  const body = JSON.stringify({ user_id: 987654321, id: 'c3f0a6d4-9d2e-4f5b-8c1a-2b7e6d5c4a39', type: 'sleep.updated', trace_id: 'd2a1' });
  const timestamp = String(now());
  const signature = createHmac('sha256', CLIENT_SECRET).update(timestamp + body).digest('base64');
  const response = await fetch(`${env.api}/webhooks/whoop`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-whoop-signature': signature, 'x-whoop-signature-timestamp': timestamp },
    body,
  });
  assert.equal(response.status, 204);
}

for (const viewport of Object.keys(VIEWPORTS)) {
  describe(`the operator's page, ${viewport}`, () => {
    let env, browser, page, seen;

    before(async () => {
      env = await startTestEnv();
      browser = await launch();
      ({ page, seen } = await openWindow(browser, env, viewport));
      await page.goto(env.page('alice'));
      await connect(page);
      await phase(page, 'day');
      await sendWebhookOfUnknownMember(env);
    });

    after(async () => {
      await browser?.close();
      await env?.stop();
    });

    const open = async (key) => {
      await page.getByLabel('Service key').fill(key);
      await page.getByRole('button', { name: 'Open' }).click();
    };

    it('opens only with a service key', async () => {
      await page.goto(`${env.api}/admin`);
      await open(env.token('alice'));
      await page.getByRole('alert').getByText('needs a service key').waitFor();
      await checkAndCapture(page, viewport, '40-admin-refused');
      await open(env.serviceKey);
      await page.getByRole('heading', { name: 'Members' }).waitFor();
    });

    it('shows the numbers of the API', async () => {
      const { members, quota } = await env.request('GET', '/api/v1/whoop/admin/status');
      assert.equal(members.connected, 1);
      const shown = (name) => page.locator('dt', { hasText: new RegExp(`^${name}$`) }).locator('xpath=following-sibling::dd').innerText();
      assert.equal(await shown('connected'), '1');
      assert.equal(await shown('remaining in 24 hours'), `${quota.left_in_day} of ${quota.calls_per_day}`);
      assert.ok(quota.left_in_day < quota.calls_per_day);
    });

    it('lists the webhook events by state, and replays one', async () => {
      await page.getByRole('button', { name: 'unknown member 1' }).click();
      await page.getByRole('cell', { name: '987654321' }).waitFor();
      await checkAndCapture(page, viewport, '41-admin');
      await page.getByRole('button', { name: /Replay event/ }).click();
      await page.getByText('1 event(s) will be processed again').waitFor();
      // After the replay its member is still unknown.
      let counts;
      do ({ counts } = await env.request('GET', '/api/v1/whoop/admin/webhooks')); while (counts.pending);
      assert.equal(counts.unknown_member, 1);
    });

    it('runs the checks of the doctor with one call to WHOOP', async () => {
      const before = await env.calls();
      await page.getByRole('button', { name: 'Run checks' }).click();
      await page.getByRole('cell', { name: 'no run has ever finished' }).waitFor();
      const { api, oauth } = await env.calls();
      // The check of the WHOOP app uses the token endpoint, which does not count against the quota.
      assert.deepEqual([api - before.api, oauth - before.oauth], [1, 1]);
      await checkAndCapture(page, viewport, '42-admin-doctor');
    });

    it('forgets the key when the page is closed', async () => {
      await page.reload();
      await page.getByLabel('Service key').waitFor();
      assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }).includes('key')), false);
    });

    it('logs no error and requests no other host', () => assertClean(seen));
  });
}
