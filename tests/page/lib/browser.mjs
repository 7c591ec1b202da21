// Starts Chromium, and has the helpers with which the tests use and check the pages.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { AHEAD } from './test-env.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The folder of the screenshots. */
const PICTURES = process.env.PICTURES ?? fileURLToPath(new URL('../../../target/page-pictures', import.meta.url));

const CANDIDATES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export const VIEWPORTS = {
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  desk: { viewport: { width: 1280, height: 900 } },
};

export function launch(flags = []) {
  const executablePath = process.env.CHROMIUM ?? CANDIDATES.find(existsSync);
  assert.ok(executablePath, 'Chromium is missing; install it (apt-get install chromium), or set CHROMIUM');
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...flags,
    ],
  });
}

/** Runs in the page: replaces Date with one whose clock is ahead. */
function shiftClock(millis) {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...parts) {
      super(...(parts.length ? parts : [RealDate.now() + millis]));
    }

    static now() {
      return RealDate.now() + millis;
    }
  };
}

/** Opens a browser window, and records its errors and its requests to other hosts. */
export async function openWindow(browser, env, viewport, options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/Berlin', ...VIEWPORTS[viewport], ...options });
  context.setDefaultTimeout(15_000);
  if (AHEAD) await context.addInitScript(shiftClock, AHEAD * 3_600_000);
  const seen = { errors: [], foreignRequests: [] };
  const hosts = [new URL(env.api).host, new URL(env.simulator).host, ...(options.hosts ?? [])];
  context.on('page', (page) => {
    page.on('pageerror', (error) => seen.errors.push(`${error.stack ?? error}`));
    page.on('console', (message) => {
      const text = message.text();
      // Errors that the tests cause on purpose: no network, and error responses.
      const isExpected = /Failed to load resource|net::ERR_|could not update the copy/.test(text);
      if (message.type() === 'error' && !isExpected) seen.errors.push(text);
    });
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && !hosts.includes(url.host)) seen.foreignRequests.push(request.url());
    });
  });
  const page = await context.newPage();
  return { context, page, seen };
}

/** The screenshots that the README shows, with their names in docs/pictures. */
const README_PICTURES = { desk: { '05-day': 'day', '41-admin': 'operations' }, phone: { '09-parts-missing': 'parts-missing', '12-german-dark': 'german-dark' } };

/** Asserts that the window has logged no error and requested no other host. */
export function assertClean(seen) {
  assert.deepEqual(seen.errors, [], 'errors in the console');
  assert.deepEqual(seen.foreignRequests, [], 'requests to other hosts');
}

/** Saves a screenshot, and checks the accessibility of the page with axe. */
export async function checkAndCapture(page, viewport, name) {
  mkdirSync(`${PICTURES}/${viewport}`, { recursive: true });
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: `${PICTURES}/${viewport}/${name}.png`, fullPage: true, animations: 'disabled' });
  const readmeName = README_PICTURES[viewport][name];
  if (readmeName) await page.screenshot({ path: `${PICTURES}/readme/${readmeName}.png`, animations: 'disabled' });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`);
  assert.deepEqual(serious, [], `${name}: accessibility violations`);
}

export const notice = (page, id) => page.locator(`[data-notice="${id}"]`);

export const card = (page, name) => page.locator(`[data-card="${name}"]`);

export const phase = (page, name) => page.locator(`body[data-phase="${name}"]`).waitFor({ state: 'attached' });

/** Submits WHOOP's consent page as a person. */
export async function consent(page, person, decision = 'allow') {
  await page.waitForURL(/\/oauth\/oauth2\/auth/);
  if (person) await page.selectOption('select[name=person]', String(person));
  await page.click(`button[value=${decision}]`);
}

/** Connects a member, and waits until the first sync has ended. */
export async function connect(page, person) {
  await page.getByRole('button', { name: /Connect WHOOP/ }).click();
  await consent(page, person);
  await phase(page, 'day');
}

/** Swipes horizontally over the page by a number of CSS pixels. */
export async function swipe(page, distance) {
  await page.evaluate((x) => {
    const main = document.getElementById('main');
    const touch = (clientX) => new Touch({ identifier: 1, target: main, clientX, clientY: 300 });
    main.dispatchEvent(new TouchEvent('touchstart', { touches: [touch(200)], changedTouches: [touch(200)], bubbles: true }));
    main.dispatchEvent(new TouchEvent('touchend', { touches: [], changedTouches: [touch(200 + x)], bubbles: true }));
  }, distance);
}
