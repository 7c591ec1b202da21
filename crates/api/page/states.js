// Content for all states in which the page shows no day, and the notices above a day.

import { isEmpty } from './cards.js';
import { el } from './dom.js';
import { hasText, translate } from './words.js';
import { moment } from './dates.js';

const center = (title, ...content) => el('section', { class: 'card center' }, el('h2', {}, title), content);

const mainButton = (text, onclick) => el('button', { type: 'button', class: 'main', onclick }, text);

/** The text for an error code. The code comes from the address, so it is never shown itself: a link can contain any text. */
const errorText = (code) => translate(hasText(`error.${code}`) ? `error.${code}` : 'error.other');

export const signedOut = (expired) => center(translate('signedOut'), el('p', {}, translate(expired ? 'expired' : 'signedOutWhy')));

/** The result of a connect, in the window in which WHOOP was opened, which has no token. */
export const connectResult = ({ connected, error }) =>
  connected
    ? center(translate('connectedClose'), el('p', {}, translate('connectedCloseWhy')))
    : center(translate('notConnected'), el('p', {}, errorText(error)));

export function connectCard({ error, busy, link, connect, who }) {
  return center(translate('connectTitle'),
    error ? el('p', { class: 'notice bad', role: 'alert' }, `${translate('notConnected')}: ${errorText(error)}`) : null,
    el('p', {}, translate('connectWhy')),
    el('p', { class: 'quiet small' }, translate('connectFor', { who })),
    link
      ? [el('p', {}, translate('connectElsewhere')), el('p', {}, el('a', { class: 'button main', href: link, target: '_blank', rel: 'noopener' }, translate('openWhoop')))]
      : el('p', {}, (() => {
        const button = mainButton(translate(busy ? 'connecting' : 'connect'), connect);
        button.disabled = Boolean(busy);
        return button;
      })()));
}

const TYPES = { recovery: 'recovery', sleep: 'sleep', workout: 'workouts', cycle: 'strain' };

const isDone = (type) => ['success', 'failed', 'not_granted'].includes(type.sync_status);

/** Whether the first sync has ended, with or without errors. */
export const isFirstSyncOver = (status) => !status.syncing && Object.values(status.data_types).every(isDone);

export const hasEverSynced = (status) => Object.values(status.data_types).some((type) => type.last_sync_at !== null);

export function firstSync(status) {
  const types = Object.entries(status?.data_types ?? {});
  const done = types.filter(([, type]) => isDone(type)).length;
  const all = types.length || 4;
  const label = translate('firstSyncDone', { done, all });
  return center(translate('firstSync'),
    el('p', {}, el('progress', { max: all, value: done, 'aria-label': label })),
    el('p', { role: 'status' }, label),
    el('ul', { class: 'legend' }, types.map(([name, type]) =>
      el('li', {}, `${translate(TYPES[name])}: `,
        type.sync_status === 'failed'
          ? translate('firstSyncFailed', { why: type.last_error ?? '' })
          : type.sync_status === 'not_granted' ? translate('notGranted')
          : type.records_synced > 0 ? translate('firstSyncRecords', { n: type.records_synced }) : translate('waiting')))),
    el('p', { class: 'quiet small' }, translate('firstSyncWhy')));
}

/** The content of a day without data: the reason, and buttons for what the member can do. */
export function emptyDay(day, { showDayBefore, readNow }) {
  const wasRead = day.meta.source === 'whoop' && day.meta.sync === 'done';
  const reasons = new Set(Object.values(day.missing));
  const reason = reasons.size === 1 && !wasRead ? [...reasons][0] : 'not_recorded';
  // The date changes at midnight, but WHOOP's day begins with the sleep after that.
  const notRecorded = showDayBefore ? translate('noDataToday') : translate('noDataWhy');
  return center(translate('noData'),
    el('p', {}, reason === 'not_recorded' ? notRecorded : translate(`missing.${reason}`)),
    readNow && reason === 'not_synced' ? el('p', {}, mainButton(translate('readNow'), readNow)) : null,
    showDayBefore ? el('p', {}, mainButton(translate('showDayBefore'), showDayBefore)) : null);
}

export const notOnDevice = () => center(translate('noData'), el('p', {}, translate('offlineNothing')));

const isUnread = (day) => isEmpty(day) && Object.values(day.missing).includes('not_synced');

/** The notice above the day: the most important one, or null. */
export function noticeOf({ day, at, network, problem, connection, error, busy, slow }) {
  const when = (instant) => (instant ? moment(instant) : translate('atNoTime'));
  const synced = when(day?.meta.last_synced_at);
  if (network === 'offline') return { id: 'offline', kind: 'warn', title: translate('offlineTitle'), text: at && translate('offlineWhy', { when: when(at) }) };
  if (network === 'unreachable') return { id: 'unreachable', kind: 'bad', title: translate('unreachableTitle'), text: at && translate('unreachableWhy', { when: when(at) }), action: 'again' };
  if (problem) {
    const name = { 429: 'limit', 503: 'unavailable' }[problem.status] ?? 'trouble';
    return { id: `problem-${problem.status}`, kind: 'bad', title: translate(`${name}Title`), text: problem.status === 429 ? translate('limitWhy') : problem.text, action: 'again' };
  }
  if (error) return { id: 'not-connected', kind: 'bad', title: translate('notConnected'), text: errorText(error), action: connection === 'connected' ? null : 'connect' };
  if (connection === 'reauth_required') return { id: 'reauth', kind: 'bad', title: translate('reauthTitle'), text: translate('reauthWhy'), action: 'reconnect' };
  if (connection === 'disconnected') return { id: 'disconnected', kind: 'warn', title: translate('disconnectedTitle'), text: translate('disconnectedWhy'), action: 'connect' };
  if (day?.meta.sync === 'deferred') return { id: 'quota', kind: 'warn', title: translate('quotaTitle'), text: translate('quotaWhy', { when: synced }) };
  if (day?.meta.sync === 'failed') return { id: 'failed', kind: 'bad', title: translate('failedTitle'), text: translate('failedWhy', { when: synced }), action: 'refresh' };
  // A day that was never read shows this itself.
  if (day?.meta.stale && !isUnread(day) && (!busy || slow)) {
    return { id: 'stale', kind: 'warn', title: translate('staleTitle'), text: translate('staleWhy', { when: synced }), action: busy ? null : 'refresh' };
  }
  return null;
}

export function noticeBox({ id, kind, title, text, action }, actions) {
  const labels = { again: 'again', refresh: 'refresh', connect: 'connect', reconnect: 'reconnect' };
  return el('div', { class: `notice ${kind}`, 'data-notice': id },
    el('p', {}, title),
    text ? el('p', {}, text) : null,
    action ? el('p', { class: 'actions' }, mainButton(translate(labels[action]), actions[action])) : null);
}
