// Keeps the device's copy like the database: 30 days whole, a year in brief.

import { api, Problem } from './api.js';
import { back, plus } from './dates.js';

const DAYS = 30;
const YEAR = 365;
const AT_ONCE = 200;

export const dayKey = (date) => `day ${date}`;

/** Keeps a day, if it is the box's own member's. */
export const keepDay = (box, day) =>
  day.user_id === box.user && box.put(dayKey(day.date), { day, at: new Date().toISOString() });

/** The dates that changed since the last time; null if everything has to be read. */
async function changedDates(box) {
  const known = await box.get('position');
  if (!known) return null;
  const dates = new Set();
  let { since, counted } = known;
  for (;;) {
    let page;
    try {
      page = await api.changes(since, AT_ONCE, counted);
    } catch (error) {
      // Too long ago, or all was erased meanwhile.
      if (error instanceof Problem && error.status === 410) return null;
      throw error;
    }
    for (const change of page.changes) {
      dates.add(change.local_date);
      if (change.previous_date) dates.add(change.previous_date);
    }
    since = page.next_since;
    counted = page.counted_since;
    if (!page.more) return { dates, position: { since, counted } };
  }
}

/** Where the changes stand now, before anything is read. */
async function position() {
  try {
    const { latest, counted_since: counted } = await api.changes(0, 1);
    return { since: latest, counted };
  } catch (error) {
    // The first ones are no longer kept; the answer says where they stand all the same.
    if (error instanceof Problem && error.status === 410) return { since: error.latest };
    throw error;
  }
}

/**
 * Reads what changed into the box, and hands over the year's brief days.
 * Throws Away or a Problem, and goes on from there the next time.
 */
export async function catchUp(box, today, onTrend) {
  const found = await changedDates(box);
  const next = found?.position ?? (await position());
  const window = back(today, DAYS);
  const there = new Set(await box.keys());
  for (const date of window) {
    if (found && there.has(dayKey(date)) && !found.dates.has(date)) continue;
    const day = await api.day(date, 'never');
    await keepDay(box, day);
  }
  const oldest = window.at(-1);
  for (const key of there) {
    if (key.startsWith('day ') && key < dayKey(oldest)) await box.remove(key);
  }
  let trend = await box.get('trend');
  if (!found || found.dates.size > 0 || trend?.to !== today) {
    trend = await api.range(plus(today, 1 - YEAR), today);
    // Somebody else signed in meanwhile.
    if (trend.user_id !== box.user) return;
    await box.put('trend', trend);
  }
  onTrend(trend);
  // Last: whoever is interrupted before reads these changes once more.
  await box.put('position', next);
}
