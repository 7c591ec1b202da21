// Calendar dates as the API writes them, YYYY-MM-DD, and how people read them.

import { locale } from './words.js';

const noon = (date) => new Date(`${date}T12:00:00Z`);
const iso = (instant) => instant.toISOString().slice(0, 10);

/** The date where the device is; the member's own is the API's to say. */
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

/** The last so many dates, the newest first. */
export const back = (from, days) => Array.from({ length: days }, (_, i) => plus(from, -i));

export const monthOf = (date) => date.slice(0, 7);

/** The first of a month so many months from that of a date. */
export function firstOfMonth(date, months = 0) {
  const first = noon(`${monthOf(date)}-01`);
  first.setUTCMonth(first.getUTCMonth() + months);
  return iso(first);
}

/** 0 for Monday. */
export const weekday = (date) => (noon(date).getUTCDay() + 6) % 7;

/** Made when first needed: each takes a millisecond or two. */
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
 * A time of day where the member was, as WHOOP's offset says (`+02:00`); without an
 * offset, where the browser is.
 */
export function time(instant, offset) {
  if (!instant) return '';
  const parts = /^([+-])(\d{2}):(\d{2})$/.exec(offset ?? '');
  const options = { hour: '2-digit', minute: '2-digit' };
  if (!parts) return new Intl.DateTimeFormat(locale, options).format(new Date(instant));
  const minutes = (parts[1] === '-' ? -1 : 1) * (parts[2] * 60 + Number(parts[3]));
  const there = new Date(Date.parse(instant) + minutes * 60_000);
  return new Intl.DateTimeFormat(locale, { ...options, timeZone: 'UTC' }).format(there);
}

/** When something was, for a person: the time alone if it was today. */
export function moment(instant) {
  const at = new Date(instant);
  const today = at.toDateString() === new Date().toDateString();
  const options = today
    ? { hour: '2-digit', minute: '2-digit' }
    : { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };
  return new Intl.DateTimeFormat(locale, options).format(at);
}
