// Keeps the copy on this device up to date: 30 complete days, and a year of day summaries.

import { api, Problem } from './api.js';
import { datesUntil, plus } from './dates.js';

const DAYS = 30;
const YEAR = 365;
const CHANGES_PER_PAGE = 200;

export const dayKey = (date) => `day ${date}`;

/** Stores a day, if it belongs to the member of the copy. */
export const storeDay = (copy, day) =>
  day.user_id === copy.user && copy.put(dayKey(day.date), { day, at: new Date().toISOString() });

/** The dates that changed since the stored position of the change feed; null if everything has to be read. */
async function changedDates(copy) {
  const position = await copy.get('position');
  if (!position) return null;
  const dates = new Set();
  let { since, counted } = position;
  for (;;) {
    let page;
    try {
      page = await api.changes(since, CHANGES_PER_PAGE, counted);
    } catch (error) {
      // The position is too old, or the member was erased since.
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

/** The current position of the change feed. */
async function fetchPosition() {
  try {
    const { latest, counted_since: counted } = await api.changes(0, 1);
    return { since: latest, counted };
  } catch (error) {
    // The oldest changes were deleted; this response also has the newest sequence number.
    if (error instanceof Problem && error.status === 410) return { since: error.latest };
    throw error;
  }
}

/**
 * Stores everything that changed in the copy, and passes the day summaries of the year to `onTrend`.
 * Throws `Unreachable` or `Problem`; the next call then repeats the unfinished part.
 */
export async function catchUp(copy, today, onTrend) {
  const changed = await changedDates(copy);
  // Before any data is read, so that a change during the reads is read again the next time.
  const next = changed?.position ?? (await fetchPosition());
  const dates = datesUntil(today, DAYS);
  const storedKeys = new Set(await copy.keys());
  for (const date of dates) {
    if (changed && storedKeys.has(dayKey(date)) && !changed.dates.has(date)) continue;
    const day = await api.day(date, 'never');
    await storeDay(copy, day);
  }
  const oldest = dates.at(-1);
  for (const key of storedKeys) {
    if (key.startsWith('day ') && key < dayKey(oldest)) await copy.remove(key);
  }
  let trend = await copy.get('trend');
  if (!changed || changed.dates.size > 0 || trend?.to !== today) {
    trend = await api.range(plus(today, 1 - YEAR), today);
    // Another member has signed in meanwhile.
    if (trend.user_id !== copy.user) return;
    await copy.put('trend', trend);
  }
  onTrend(trend);
  // At the end, so that an interrupted call is repeated with the same changes.
  await copy.put('position', next);
}
