// Calendar dates in the API's format, YYYY-MM-DD, and their display texts.

import { locale } from './words.js';

const noon = (date) => new Date(`${date}T12:00:00Z`);
const iso = (instant) => instant.toISOString().slice(0, 10);

/** The date in the device's time zone. Only the API knows the member's own date. */
export function deviceToday() {
  const now = new Date();
  return iso(new Date(now.getTime() - now.getTimezoneOffset() * 60_000));
}

export const isDate = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text ?? '') && iso(noon(text)) === text;

export function plus(date, days) {
  const other = noon(date);
  other.setUTCDate(other.getUTCDate() + days);
  return iso(other);
}

/** A number of dates that ends with `last`, the newest first. */
export const datesUntil = (last, days) => Array.from({ length: days }, (_, i) => plus(last, -i));

export const monthOf = (date) => date.slice(0, 7);

/** The first day of the date's month, or of a month before (negative) or after it. */
export function firstOfMonth(date, months = 0) {
  const first = noon(`${monthOf(date)}-01`);
  first.setUTCMonth(first.getUTCMonth() + months);
  return iso(first);
}

/** The day of the week, 0 for Monday. */
export const weekday = (date) => (noon(date).getUTCDay() + 6) % 7;

/** Creates the formatter at its first use, because that takes one or two milliseconds. */
const format = (options) => {
  let formatter = null;
  return (date) => {
    formatter ??= new Intl.DateTimeFormat(locale, { timeZone: 'UTC', ...options });
    return formatter.format(noon(date));
  };
};

export const long = format({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
export const short = format({ weekday: 'short', day: 'numeric', month: 'short' });
export const numeric = format({ day: 'numeric', month: 'numeric', year: 'numeric' });
export const monthName = format({ month: 'long', year: 'numeric' });
export const weekdayName = format({ weekday: 'short' });

/**
 * The time of day in the member's time zone, by the record's UTC offset (`+02:00`). Without an
 * offset, the time in the browser's time zone.
 */
export function time(instant, offset) {
  if (!instant) return '';
  const parts = /^([+-])(\d{2}):(\d{2})$/.exec(offset ?? '');
  const options = { hour: '2-digit', minute: '2-digit' };
  if (!parts) return new Intl.DateTimeFormat(locale, options).format(new Date(instant));
  const minutes = (parts[1] === '-' ? -1 : 1) * (parts[2] * 60 + Number(parts[3]));
  const shifted = new Date(Date.parse(instant) + minutes * 60_000);
  return new Intl.DateTimeFormat(locale, { ...options, timeZone: 'UTC' }).format(shifted);
}

/** The display text of a past instant: only the time if it was today, otherwise also the date. */
export function moment(instant) {
  const at = new Date(instant);
  const today = at.toDateString() === new Date().toDateString();
  const options = today
    ? { hour: '2-digit', minute: '2-digit' }
    : { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };
  return new Intl.DateTimeFormat(locale, options).format(at);
}
