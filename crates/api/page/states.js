// What stands in place of a day, or above it, when not all is well.

import { isEmpty } from './cards.js';
import { el } from './dom.js';
import { has, say } from './words.js';
import { moment } from './dates.js';

const center = (title, ...content) => el('section', { class: 'card center' }, el('h2', {}, title), content);

const mainButton = (text, onclick) => el('button', { type: 'button', class: 'main', onclick }, text);

/** A sentence for the word. The word itself is in the address, where anyone may have written it. */
const refusal = (word) => say(has(`error.${word}`) ? `error.${word}` : 'error.other');

export const signedOut = (expired) => center(say('signedOut'), el('p', {}, say(expired ? 'expired' : 'signedOutWhy')));

/** In the window that WHOOP was opened in, which knows nobody. */
export const cameBack = ({ connected, error }) =>
  connected
    ? center(say('connectedClose'), el('p', {}, say('connectedCloseWhy')))
    : center(say('notConnected'), el('p', {}, refusal(error)));

export function connectCard({ error, busy, link, connect, who }) {
  return center(say('connectTitle'),
    error ? el('p', { class: 'notice bad', role: 'alert' }, `${say('notConnected')}: ${refusal(error)}`) : null,
    el('p', {}, say('connectWhy')),
    el('p', { class: 'quiet small' }, say('connectFor', { who })),
    link
      ? [el('p', {}, say('connectElsewhere')), el('p', {}, el('a', { class: 'button main', href: link, target: '_blank', rel: 'noopener' }, say('openWhoop')))]
      : el('p', {}, (() => {
        const button = mainButton(say(busy ? 'connecting' : 'connect'), connect);
        button.disabled = Boolean(busy);
        return button;
      })()));
}

const TYPES = { recovery: 'recovery', sleep: 'sleep', workout: 'workouts', cycle: 'strain' };

const isDone = (type) => ['success', 'failed', 'not_granted'].includes(type.sync_status);

/** Whether the first sync is over, whatever came of it. */
export const isFirstSyncOver = (status) => !status.syncing && Object.values(status.data_types).every(isDone);

export const hasEverSynced = (status) => Object.values(status.data_types).some((type) => type.last_sync_at !== null);

export function firstSync(status) {
  const types = Object.entries(status?.data_types ?? {});
  const done = types.filter(([, type]) => isDone(type)).length;
  const all = types.length || 4;
  const label = say('firstSyncDone', { done, all });
  return center(say('firstSync'),
    el('p', {}, el('progress', { max: all, value: done, 'aria-label': label })),
    el('p', { role: 'status' }, label),
    el('ul', { class: 'legend' }, types.map(([name, type]) =>
      el('li', {}, `${say(TYPES[name])}: `,
        type.sync_status === 'failed'
          ? say('firstSyncFailed', { why: type.last_error ?? '' })
          : type.sync_status === 'not_granted' ? say('notGranted')
          : type.records_synced > 0 ? say('firstSyncRecords', { n: type.records_synced }) : say('waiting')))),
    el('p', { class: 'quiet small' }, say('firstSyncWhy')));
}

/** Why a day shows nothing, and what can be done about it. */
export function emptyDay(day, { dayBefore, read }) {
  const wasRead = day.meta.source === 'whoop' && day.meta.sync === 'done';
  const reasons = new Set(Object.values(day.missing));
  const reason = reasons.size === 1 && !wasRead ? [...reasons][0] : 'not_recorded';
  // A new day begins at midnight, and WHOOP's with the night that follows.
  const nothing = dayBefore ? say('noDataToday') : say('noDataWhy');
  return center(say('noData'),
    el('p', {}, reason === 'not_recorded' ? nothing : say(`missing.${reason}`)),
    read && reason === 'not_synced' ? el('p', {}, mainButton(say('readNow'), read)) : null,
    dayBefore ? el('p', {}, mainButton(say('showDayBefore'), dayBefore)) : null);
}

export const nothingKept = () => center(say('noData'), el('p', {}, say('offlineNothing')));

const isUnread = (day) => isEmpty(day) && Object.values(day.missing).includes('not_synced');

/** What to say above the day: the one thing that matters most, or null. */
export function noticeOf({ day, at, network, problem, connection, error, busy, slow }) {
  const when = (instant) => (instant ? moment(instant) : say('atNoTime'));
  const synced = when(day?.meta.last_synced_at);
  if (network === 'offline') return { id: 'offline', kind: 'warn', title: say('offlineTitle'), text: at && say('offlineWhy', { when: when(at) }) };
  if (network === 'away') return { id: 'away', kind: 'bad', title: say('awayTitle'), text: at && say('awayWhy', { when: when(at) }), action: 'again' };
  if (problem) {
    const name = { 429: 'limit', 503: 'unavailable' }[problem.status] ?? 'trouble';
    return { id: `problem-${problem.status}`, kind: 'bad', title: say(`${name}Title`), text: problem.status === 429 ? say('limitWhy') : problem.text, action: 'again' };
  }
  if (error) return { id: 'not-connected', kind: 'bad', title: say('notConnected'), text: refusal(error), action: connection === 'connected' ? null : 'connect' };
  if (connection === 'reauth_required') return { id: 'reauth', kind: 'bad', title: say('reauthTitle'), text: say('reauthWhy'), action: 'reconnect' };
  if (connection === 'disconnected') return { id: 'disconnected', kind: 'warn', title: say('disconnectedTitle'), text: say('disconnectedWhy'), action: 'connect' };
  if (day?.meta.sync === 'deferred') return { id: 'quota', kind: 'warn', title: say('quotaTitle'), text: say('quotaWhy', { when: synced }) };
  if (day?.meta.sync === 'failed') return { id: 'failed', kind: 'bad', title: say('failedTitle'), text: say('failedWhy', { when: synced }), action: 'refresh' };
  // A day that is not read at all says that itself.
  if (day?.meta.stale && !isUnread(day) && (!busy || slow)) {
    return { id: 'stale', kind: 'warn', title: say('staleTitle'), text: say('staleWhy', { when: synced }), action: busy ? null : 'refresh' };
  }
  return null;
}

export function noticeBox({ id, kind, title, text, action }, actions) {
  const labels = { again: 'again', refresh: 'refresh', connect: 'connect', reconnect: 'reconnect' };
  return el('div', { class: `notice ${kind}`, 'data-notice': id },
    el('p', {}, title),
    text ? el('p', {}, text) : null,
    action ? el('p', { class: 'actions' }, mainButton(say(labels[action]), actions[action])) : null);
}
