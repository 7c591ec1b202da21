// The Health page: its state, how the state is shown, and when data is loaded.

import { api, Problem, Unreachable } from './api.js';
import { cardsOf, isEmpty } from './cards.js';
import { catchUp, dayKey, storeDay } from './catch-up.js';
import { confirm, confirmForOtherWindows, confirmInOtherWindow } from './confirm.js';
import { deviceToday, isDate, long, moment, numeric, plus, short } from './dates.js';
import { el, showIfChanged } from './dom.js';
import { lastMember, lastShownDay, LocalCopy } from './kept.js';
import { followEvents } from './live.js';
import { session } from './session.js';
import * as states from './states.js';
import { ownScript } from './trusted.js';
import { translate } from './words.js';

/** Interval of status requests during the first sync. */
const FIRST_SYNC_POLL_MS = 700;
/** Number of status requests without a running sync after which the first sync counts as ended. */
const FIRST_SYNC_IDLE_POLLS = 10;
/** Time after which a notice says that WHOOP is still being read. */
const SLOW_AFTER_MS = 1_500;
/** Interval at which an open page loads its day again. */
const RELOAD_INTERVAL_MS = 5 * 60_000;
/** Pause before the next request to a server that did not answer. */
const RETRY_INTERVAL_MS = 5_000;

/** The copy of the member's data on this device. */
let copy = null;

const byId = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);

/** The error code of a failed connect from the address; `other` for a status that the callback never sends. */
function connectError() {
  if (parameters.has('error')) return parameters.get('error') || 'other';
  return ['connected', 'confirm', null].includes(parameters.get('status')) ? null : 'other';
}

/** The state of the page. Everything that is shown depends only on it. */
const state = {
  /** `starting`, `signed-out`, `connect-result`, `connect`, `first-sync` or `day`. */
  phase: 'starting',
  expired: false,
  /** The error code of a failed connect, from the address. */
  error: connectError(),
  /** The date that is shown; null for the member's today. */
  date: isDate(parameters.get('date')) ? parameters.get('date') : null,
  /** The member's today, from the API's last response for it. */
  today: null,
  day: null,
  /** When this device received the day. */
  at: null,
  connection: null,
  /** `online`, `offline` or `unreachable`. */
  network: 'online',
  problem: null,
  status: null,
  trend: null,
  /** The API is reading WHOOP. */
  busy: false,
  /** It has been reading WHOOP for longer than SLOW_AFTER_MS. */
  slow: false,
  connecting: false,
  link: null,
};

function setState(changes) {
  Object.assign(state, changes);
  draw();
}

const shownDate = () => state.date ?? state.today ?? state.day?.date ?? null;

// ---- drawing the state

function draw() {
  document.title = translate('title');
  document.querySelector('h1').textContent = translate('title');
  document.body.dataset.phase = state.phase;
  const inDay = state.phase === 'day';
  drawFreshness(inDay);
  drawDates(inDay && shownDate() !== null);
  drawNotice(inDay);
  drawMain();
  drawFooter(inDay);
  drawTrend(inDay);
}

/** Draws the trend only after the day, which is more important. */
async function drawTrend(inDay) {
  byId('trend').hidden = !inDay || !state.trend;
  if (!inDay || !state.trend || (!state.day && state.network === 'online')) return;
  const { showTrend } = await import('./trend.js');
  if (state.trend) showTrend(byId('trend'), state.trend.days);
}

function drawFreshness(inDay) {
  const synced = state.day?.meta.last_synced_at;
  const text = inDay && state.day ? (synced ? translate('lastSynced', { when: moment(synced) }) : translate('neverSynced')) : '';
  showIfChanged(byId('freshness'), text, () => text);
  const button = byId('refresh');
  button.hidden = !inDay || state.connection !== 'connected' || state.network !== 'online';
  button.disabled = state.busy;
  button.textContent = translate(state.busy ? 'refreshing' : 'refresh');
}

function drawDates(inDay) {
  const nav = byId('dates');
  nav.hidden = !inDay;
  if (!inDay) return;
  const date = shownDate();
  const latest = state.today ?? (date > deviceToday() ? date : deviceToday());
  // A device that was offline at midnight does not know the new today.
  const isToday = date === state.today && (state.network === 'online' || date >= deviceToday());
  const name = isToday ? `${translate('today')}, ${short(date)}` : short(date);
  showIfChanged(nav, [date, latest, isToday], () => [
    el('button', { type: 'button', id: 'previous', 'aria-label': translate('previousDay'), onclick: () => goToDate(plus(shownDate(), -1)) }, '‹'),
    el('button', { type: 'button', class: 'day', id: 'choose', 'aria-haspopup': 'dialog', 'aria-label': `${name}. ${translate('chooseDate', { date: long(date) })}`, onclick: chooseDate }, name),
    el('button', { type: 'button', id: 'next', 'aria-label': translate('nextDay'), disabled: date >= latest, onclick: () => goToDate(plus(shownDate(), 1)) }, '›'),
    date === latest ? null : el('button', { type: 'button', id: 'today', onclick: () => goToDate(null) }, translate('today')),
  ]);
}

function drawNotice(inDay) {
  const notice = inDay || state.problem || state.network !== 'online' ? states.noticeOf(state) : null;
  showIfChanged(byId('notice'), notice, () => notice && states.noticeBox(notice, { again: load, refresh: () => load('force'), connect, reconnect: connect }));
}

function drawMain() {
  const main = byId('main');
  switch (state.phase) {
    case 'starting':
      return showIfChanged(main, 'starting', () => el('p', { class: 'quiet center' }, translate('loading')));
    case 'signed-out':
      return showIfChanged(main, ['signed-out', state.expired], () => states.signedOut(state.expired));
    case 'connect-result':
      return showIfChanged(main, ['connect-result', state.error], () => states.connectResult({ connected: !state.error, error: state.error }));
    case 'connect': {
      const { error, connecting: busy, link } = state;
      return showIfChanged(main, ['connect', error, busy, link, session.name], () => states.connectCard({ error, busy, link, connect, who: session.name }));
    }
    case 'first-sync':
      return showIfChanged(main, ['first-sync', state.status?.data_types], () => states.firstSync(state.status));
    default:
      return drawDay(main);
  }
}

function drawDay(main) {
  const { day } = state;
  if (!day) {
    const isOffline = state.network !== 'online';
    return showIfChanged(main, ['no day', isOffline], () => (isOffline ? states.notOnDevice() : el('p', { class: 'quiet center' }, translate('loading'))));
  }
  if (isEmpty(day)) {
    const showDayBefore = day.date === state.today ? () => goToDate(plus(day.date, -1)) : null;
    const canRead = state.connection === 'connected' && state.network === 'online' && !state.busy;
    const readNow = canRead ? () => load('force') : null;
    return showIfChanged(main, ['empty', day.date, day.missing, day.meta.sync, Boolean(showDayBefore), canRead], () => states.emptyDay(day, { showDayBefore, readNow }));
  }
  // Each card has a container of its own, so that unchanged cards are not replaced.
  showIfChanged(main, 'cards', () => el('div', { class: 'cards', id: 'cards' }));
  const cards = byId('cards');
  const wanted = cardsOf(day);
  for (const slot of [...cards.children]) {
    if (!wanted.some(([name]) => name === slot.dataset.card)) slot.remove();
  }
  if (!performance.getEntriesByName('day').length) performance.mark('day');
  wanted.forEach(([name, content, create], index) => {
    let slot = cards.querySelector(`[data-card="${name}"]`);
    if (!slot) {
      slot = el('div', { 'data-card': name });
      cards.insertBefore(slot, cards.children[index] ?? null);
    }
    showIfChanged(slot, content, create);
  });
}

function drawFooter(inDay) {
  const foot = byId('foot');
  foot.hidden = !inDay;
  const { status, connection } = state;
  const history = status && connection === 'connected'
    ? status.backfill.complete
      ? translate('historyAll')
      : status.backfill.stored_from && translate('historySoFar', { date: numeric(status.backfill.stored_from.slice(0, 10)) })
    : null;
  const canDisconnect = inDay && ['connected', 'reauth_required'].includes(connection) && state.network === 'online';
  const who = session.name;
  showIfChanged(foot, [history, canDisconnect, who], () => [
    who ? el('span', { class: 'quiet small' }, translate('signedInAs', { who })) : null,
    history ? el('span', { class: 'quiet small' }, history) : null,
    canDisconnect ? el('button', { type: 'button', class: 'danger', id: 'disconnect', onclick: disconnect }, translate('disconnect')) : null,
  ]);
}

// ---- actions

function goToDate(date, addToHistory = true) {
  if (date && state.today && date > state.today) return;
  const wanted = date === state.today ? null : date;
  if (addToHistory) history.pushState({}, '', wanted ? `?date=${wanted}` : location.pathname);
  Object.assign(state, { date: wanted, error: null });
  load();
}

async function chooseDate() {
  const { openCalendar } = await import('./calendar.js');
  openCalendar({
    date: shownDate(),
    today: state.today ?? shownDate(),
    known: state.trend?.days.map((day) => [day.date, day]) ?? [],
    onChoose: (date) => goToDate(date),
  });
}

/** Handles an error: shows a notice, and the data stays on the screen. */
function fail(error) {
  if (error instanceof Unreachable) {
    const phase = state.phase === 'starting' ? 'day' : state.phase;
    setState({ phase, network: navigator.onLine ? 'unreachable' : 'offline', busy: false, connecting: false });
    scheduleRetry();
  } else if (error instanceof Problem && error.status === 401) {
    signOut();
  } else if (error instanceof Problem && error.status === 400 && state.date) {
    // The date in the address is in the future.
    history.replaceState({}, '', location.pathname);
    goToDate(null, false);
  } else if (error instanceof Problem) {
    const { status, message: text } = error;
    setState({ network: 'online', problem: { status, text }, busy: false, connecting: false });
    if (status === 503) scheduleRetry();
  } else {
    throw error;
  }
}

let retryTimer = null;

function scheduleRetry() {
  clearTimeout(retryTimer);
  retryTimer = setTimeout(() => state.phase === 'day' && load(), RETRY_INTERVAL_MS);
}

function signOut() {
  stopFollowing();
  session.end();
  setState({ phase: 'signed-out', expired: true, day: null, trend: null, problem: null });
}

/** Whether WHOOP may have newer data than the database. */
const mayBeOutdated = ({ meta, missing }) =>
  meta.connection === 'connected' && (meta.stale || Object.values(missing).includes('not_synced'));

let loading = null;

/**
 * Shows the day: first the copy on this device, then the stored day from the API, and then, if it
 * may be outdated, the day after the API has read WHOOP.
 */
async function load(refresh = 'auto') {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  const { date } = state;
  clearTimeout(retryTimer);
  try {
    if (refresh !== 'force') {
      const request = api.day(date, 'never', signal);
      request.catch(() => {}); // handled below, after the copy of this device is shown
      await showCopy(date, signal);
      const stored = await request;
      if (signal.aborted) return;
      showFetched(stored, date);
      if (state.phase === 'day' && date !== null && (state.today ?? '') < deviceToday()) fetchToday(signal);
      if (!mayBeOutdated(stored)) return;
    }
    setState({ busy: true, slow: false });
    setTimeout(() => !signal.aborted && state.busy && setState({ slow: true }), SLOW_AFTER_MS);
    const fresh = await api.day(date, refresh === 'force' ? 'force' : 'auto', signal);
    if (signal.aborted) return;
    state.busy = false;
    showFetched(fresh, date);
  } catch (error) {
    if (signal.aborted) return;
    state.busy = false;
    // The copy of this device, even if it is out of date.
    if (!state.day) await showCopy(date, signal, true);
    if (!signal.aborted) fail(error);
  }
}

/** Asks the API for the member's today, which is not known yet if the page opens with another date. */
async function fetchToday(signal) {
  try {
    const { date, user_id: user } = await api.day(null, 'never', signal);
    if (user !== session.user || date === state.today) return;
    copy.put('today', date);
    setState({ today: date });
    startCatchUp();
  } catch (error) {
    if (!signal.aborted && !(error instanceof Unreachable)) console.warn('could not fetch today:', error);
  }
}

/** Shows the copy on this device. Yesterday is shown for today only with `allowOld` or offline. */
async function showCopy(date, signal, allowOld = false) {
  // Online, the API's response with the new today follows within a moment.
  const isOver = date === null && state.today < deviceToday() && navigator.onLine && !allowOld;
  const key = isOver ? null : (date ?? state.today);
  const stored = key && (await copy.get(dayKey(key)));
  if (signal.aborted) return;
  if (state.day && state.day.date === key && state.network === 'online') return;
  if (stored) setState({ phase: 'day', day: stored.day, at: stored.at, connection: stored.day.meta.connection });
  else if (state.phase === 'day' && state.day?.date !== key) setState({ day: null, at: null });
}

/** Shows a day that the API has returned for the requested date, and stores it on this device. */
function showFetched(day, date) {
  // The request was made for a member who is no longer signed in.
  if (day.user_id !== session.user) return;
  const { connection } = day.meta;
  const isUnread = isEmpty(day) && day.meta.last_synced_at === null;
  const previousNetwork = state.network;
  Object.assign(state, { connection, network: 'online', problem: null });
  if (connection === 'never_connected') return resetToConnect();
  if (date === null && state.today !== day.date) {
    state.today = day.date;
    copy.put('today', day.date);
  }
  Object.assign(state, { day, at: new Date().toISOString() });
  if (!isUnread) {
    storeDay(copy, day);
    lastShownDay.store(session.user, state.today, day);
  }
  if (connection === 'connected' && day.meta.last_synced_at === null && state.phase !== 'day') return watchFirstSync();
  setState({ phase: 'day' });
  startFollowing();
  if (previousNetwork !== 'online') startCatchUp();
}

async function watchFirstSync() {
  startFollowing();
  // When no sync is running any more, the day shows the reasons for missing parts.
  for (let idle = 0; idle < FIRST_SYNC_IDLE_POLLS;) {
    try {
      const status = await api.status();
      if (states.isFirstSyncOver(status)) break;
      setState({ phase: 'first-sync', status, connecting: false, link: null, error: null });
      idle = status.syncing ? 0 : idle + 1;
    } catch (error) {
      if (!(error instanceof Unreachable)) return fail(error);
    }
    await new Promise((resolve) => setTimeout(resolve, FIRST_SYNC_POLL_MS));
    if (state.phase !== 'first-sync') return;
  }
  // Show the day even if it has no record.
  Object.assign(state, { phase: 'day', day: null, connecting: false, link: null });
  load();
}

async function connect() {
  // The window is opened at once, because browsers allow this only directly after a click.
  const whoopWindow = session.survivesReload ? null : open('about:blank', '_blank');
  setState({ connecting: true, error: null });
  try {
    const { authorization_url: url } = await api.connect('/');
    if (session.survivesReload) return location.assign(url);
    if (whoopWindow) {
      whoopWindow.opener = null;
      whoopWindow.location = url;
    }
    setState({ phase: state.phase === 'day' ? 'day' : 'connect', link: url });
    startFollowing();
  } catch (error) {
    whoopWindow?.close();
    setState({ connecting: false });
    fail(error);
  }
}

function disconnect() {
  const erase = el('input', { type: 'checkbox', id: 'erase' });
  const dialog = el('dialog', { 'aria-labelledby': 'disconnect-title', onclose: () => dialog.remove() },
    el('h2', { id: 'disconnect-title' }, translate('disconnectSure')),
    el('p', {}, translate('disconnectWhy')),
    el('p', {}, el('label', {}, erase, ' ', translate('erase'))),
    el('p', {},
      el('button', { type: 'button', class: 'danger', onclick: confirmDisconnect }, translate('disconnect')), ' ',
      el('button', { type: 'button', onclick: () => dialog.close() }, translate('cancel'))));
  async function confirmDisconnect() {
    dialog.close();
    try {
      await api.disconnect(erase.checked);
      load();
    } catch (error) {
      fail(error);
    }
  }
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * The server has no data of the member, because they never connected or were erased, perhaps on
 * another device: deletes the copy on this device too, and then offers to connect.
 */
async function resetToConnect() {
  if (state.phase !== 'connect') {
    stopFollowing();
    copy = copy.replaceWithEmpty();
    Object.assign(state, { day: null, trend: null, status: null, today: null });
    const emptyCopy = copy;
    await emptyCopy.ready;
    if (emptyCopy !== copy) return;
  }
  setState({ phase: 'connect' });
}

// ---- updates without an action of the member

let following = null;

/** Receives the member's events, and keeps the shown day and the copy on this device up to date. */
function startFollowing() {
  if (following) return;
  following = new AbortController();
  followEvents(following.signal, {
    opened: () => {
      if (state.phase === 'day' && state.network !== 'online') load();
      else if (state.phase !== 'first-sync') startCatchUp();
    },
    unreachable: () => state.phase === 'day' && setState({ network: navigator.onLine ? 'unreachable' : 'offline' }),
    refused: signOut,
    day: ({ date }) => {
      if (state.phase === 'day' && date === shownDate()) reloadShownDay();
      startCatchUp();
    },
    connection: ({ connection }) => {
      const previous = state.connection;
      state.connection = connection;
      if (state.phase === 'connect' && connection === 'connected') watchFirstSync();
      else if (previous && previous !== connection) load();
    },
    reset: () => {
      copy.remove('position').then(startCatchUp);
      load();
    },
  });
}

function stopFollowing() {
  loading?.abort();
  following?.abort();
  following = null;
}

/** Loads the shown day again after it has changed in the database. */
async function reloadShownDay() {
  const { date } = state;
  const signal = loading?.signal;
  try {
    const day = await api.day(date, 'never', signal);
    // The member may have gone to another day meanwhile.
    if (date === state.date && signal === loading?.signal) showFetched(day, date);
  } catch (error) {
    if (!signal?.aborted) fail(error);
  }
}

let isCatchingUp = false;
let catchUpAgain = false;

/** Updates the copy on this device. If an update is already running, another one follows it. */
function startCatchUp() {
  if (!state.today || !session.user) return;
  if (isCatchingUp) {
    catchUpAgain = true;
    return;
  }
  isCatchingUp = true;
  const updatedCopy = copy;
  (async () => {
    do {
      catchUpAgain = false;
      try {
        await catchUp(updatedCopy, state.today, (trend) => updatedCopy === copy && setState({ trend }));
        const status = await api.status();
        if (updatedCopy === copy) setState({ status });
      } catch (error) {
        if (!(error instanceof Unreachable)) console.warn('could not update the copy on this device:', error);
        catchUpAgain = updatedCopy !== copy;
        break;
      }
    } while (catchUpAgain && updatedCopy === copy);
    isCatchingUp = false;
    // For a member who has signed in meanwhile.
    if (catchUpAgain) startCatchUp();
  })();
}

// ---- start of the page

async function start() {
  session.start();
  byId('refresh').addEventListener('click', () => load('force'));
  const { user } = session;
  if (parameters.has('status') || parameters.has('error')) {
    history.replaceState({}, '', location.pathname);
    const word = parameters.get('confirm');
    // Only a window with a token can confirm the connect.
    if (word) state.error = user ? await confirm(word) : await confirmInOtherWindow(word);
    if (!user) return setState({ phase: 'connect-result' });
  }
  confirmForOtherWindows(() => Boolean(session.user));
  if (!user) return startWithoutToken();
  await openCopy(user);
  await load();
}

/** Opens the member's copy on this device. Shows first the last shown day, which is available at once. */
async function openCopy(user) {
  const last = lastShownDay.find(user, state.date);
  if (last) setState({ phase: 'day', day: last.day, at: last.at, today: last.today, connection: last.day.meta.connection });
  const opened = LocalCopy.open(user);
  copy = opened;
  const [trend = null, today = null] = await Promise.all([opened.get('trend'), opened.get('today')]);
  if (opened !== copy) return;
  Object.assign(state, { trend, today: state.today ?? today });
}

/** No member is signed in. Offline, the page shows the copy of the last member on this device. */
async function startWithoutToken() {
  const user = lastMember();
  if (navigator.onLine || !user) return setState({ phase: 'signed-out' });
  await openCopy(user);
  setState({ phase: 'day', network: 'offline' });
  await showCopy(state.date, new AbortController().signal, true);
}

session.onNewToken(restart);

/** Starts again with the token that the app has passed. */
async function restart() {
  stopFollowing();
  copy?.close();
  Object.assign(state, {
    phase: 'starting', expired: false, day: null, at: null, today: null, trend: null, status: null, problem: null, error: null,
    network: 'online', connection: null, connecting: false, link: null,
  });
  draw();
  await openCopy(session.user);
  load();
}

addEventListener('popstate', () => {
  const date = new URLSearchParams(location.search).get('date');
  state.date = isDate(date) ? date : null;
  if (state.phase === 'day') load();
});
addEventListener('online', () => state.phase === 'day' && session.user && load());
addEventListener('offline', () => state.phase === 'day' && setState({ network: 'offline' }));
addEventListener('colours', draw);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && state.phase === 'day' && session.user) load();
});
setInterval(() => {
  if (!document.hidden && state.phase === 'day' && session.user && !state.busy) load();
}, RELOAD_INTERVAL_MS);
addEventListener('keydown', (event) => {
  if (state.phase !== 'day' || event.altKey || event.ctrlKey || event.metaKey || document.querySelector('dialog[open]')) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step && shownDate() && !event.target.closest('input, select, [role="region"]')) goToDate(plus(shownDate(), step));
});

// Swiping to the right shows the previous day, to the left the next day.
let touchStart = null;
byId('main').addEventListener('touchstart', ({ touches }) => {
  touchStart = touches.length === 1 ? { x: touches[0].clientX, y: touches[0].clientY } : null;
}, { passive: true });
byId('main').addEventListener('touchend', ({ changedTouches }) => {
  if (!touchStart || state.phase !== 'day' || !shownDate()) return;
  const x = changedTouches[0].clientX - touchStart.x;
  const y = changedTouches[0].clientY - touchStart.y;
  touchStart = null;
  if (Math.abs(x) > 60 && Math.abs(y) < 40) goToDate(plus(shownDate(), x > 0 ? -1 : 1));
}, { passive: true });

navigator.serviceWorker?.register(ownScript('/sw.js'), { scope: '/', updateViaCache: 'none' }).catch((error) => {
  console.warn('the page will not open offline in this browser:', error);
});

draw();
start();
