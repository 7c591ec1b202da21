// Debian's Chromium, what it shows, and what it says about it.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { AHEAD } from './stage.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Where the pictures go; every run paints them anew. */
const PICTURES = process.env.PICTURES ?? fileURLToPath(new URL('../../../target/page-pictures', import.meta.url));

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export const VIEWPORTS = {
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  desk: { viewport: { width: 1280, height: 900 } },
};

export function launch(more = []) {
  const executablePath = process.env.CHROMIUM ?? PLACES.find(existsSync);
  assert.ok(executablePath, 'Chromium is missing: apt-get install chromium, or name it in CHROMIUM');
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...more,
    ],
  });
}

function setAhead(millis) {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...parts) {
      super(...(parts.length ? parts : [Real.now() + millis]));
    }

    static now() {
      return Real.now() + millis;
    }
  };
}

/** A window of somebody's browser, watched: nothing may go wrong unseen. */
export async function openWindow(browser, stage, viewport, options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/Berlin', ...VIEWPORTS[viewport], ...options });
  context.setDefaultTimeout(15_000);
  if (AHEAD) await context.addInitScript(setAhead, AHEAD * 3_600_000);
  const seen = { errors: [], strangers: [], offline: false };
  const hosts = [new URL(stage.api).host, new URL(stage.simulator).host, ...(options.hosts ?? [])];
  context.on('page', (page) => {
    page.on('pageerror', (error) => seen.errors.push(`${error.stack ?? error}`));
    page.on('console', (message) => {
      const text = message.text();
      // A network that is taken away on purpose, and answers that are errors on purpose.
      const isMeant = /Failed to load resource|net::ERR_|not caught up/.test(text);
      if (message.type() === 'error' && !isMeant) seen.errors.push(text);
    });
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && !hosts.includes(url.host)) seen.strangers.push(request.url());
    });
  });
  const page = await context.newPage();
  return { context, page, seen };
}

/** What the README shows, as it is on the screen. */
const OF_THE_README = { desk: { '05-day': 'day', '41-admin': 'operations' }, phone: { '09-parts-missing': 'parts-missing', '12-german-dark': 'german-dark' } };

/** What the watched window must not have seen. */
export function assertClean(seen) {
  assert.deepEqual(seen.errors, [], 'errors in the console');
  assert.deepEqual(seen.strangers, [], 'requests to other hosts');
}

/** Takes a picture, and has axe look at it. */
export async function look(page, viewport, name) {
  mkdirSync(`${PICTURES}/${viewport}`, { recursive: true });
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: `${PICTURES}/${viewport}/${name}.png`, fullPage: true, animations: 'disabled' });
  const shown = OF_THE_README[viewport][name];
  if (shown) await page.screenshot({ path: `${PICTURES}/readme/${shown}.png`, animations: 'disabled' });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`);
  assert.deepEqual(found, [], `${name}: what axe found`);
}

export const notice = (page, id) => page.locator(`[data-notice="${id}"]`);

export const card = (page, name) => page.locator(`[data-card="${name}"]`);

export const phase = (page, name) => page.locator(`body[data-phase="${name}"]`).waitFor({ state: 'attached' });

/** Over WHOOP's consent page, as a person. */
export async function consent(page, person, decision = 'allow') {
  await page.waitForURL(/\/oauth\/oauth2\/auth/);
  if (person) await page.selectOption('select[name=person]', String(person));
  await page.click(`button[value=${decision}]`);
}

/** Connects a member who is not, and waits for the first sync to end. */
export async function connect(page, person) {
  await page.getByRole('button', { name: /Connect WHOOP/ }).click();
  await consent(page, person);
  await phase(page, 'day');
}

/** A swipe over the page, in CSS pixels. */
export async function swipe(page, by) {
  await page.evaluate((x) => {
    const main = document.getElementById('main');
    const touch = (clientX) => new Touch({ identifier: 1, target: main, clientX, clientY: 300 });
    main.dispatchEvent(new TouchEvent('touchstart', { touches: [touch(200)], changedTouches: [touch(200)], bubbles: true }));
    main.dispatchEvent(new TouchEvent('touchend', { touches: [], changedTouches: [touch(200 + x)], bubbles: true }));
  }, by);
}
