// The Health page: what is known of a member's day, and how it stands.

import { api, Away, Problem } from './api.js';
import { cardsOf, isEmpty } from './cards.js';
import { catchUp, dayKey, keepDay } from './catch-up.js';
import { confirm, confirmElsewhere, confirmForOthers } from './confirm.js';
import { deviceToday, isDate, long, moment, numeric, plus, short } from './dates.js';
import { el, show } from './dom.js';
import { Box, glance, lastMember } from './kept.js';
import { follow } from './live.js';
import { session } from './session.js';
import * as states from './states.js';
import { ownScript } from './trusted.js';
import { say } from './words.js';

/** How often the first sync is looked at. */
const LOOK_EVERY = 700;
/** Looks at which nothing goes on, before it is taken to be over. */
const LOOKS_IDLE = 10;
/** What WHOOP is asked longer for is worth a word. */
const SLOW = 1_500;
/** A page that stays open looks so often whether its day is still as it should be. */
const LOOK_AGAIN = 5 * 60_000;
/** How often a server that was away is asked again. */
const ASK_AGAIN = 5_000;

/** What this device keeps of the member. */
let box = null;

const place = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);

/** The callback's word for a connect that failed; `other` for a word that it does not send. */
function refusedWith() {
  if (parameters.has('error')) return parameters.get('error') || 'other';
  return ['connected', 'confirm', null].includes(parameters.get('status')) ? null : 'other';
}

/** Everything that is shown follows from this. */
const now = {
  /** `starting`, `signed-out`, `came-back`, `connect`, `first-sync` or `day`. */
  phase: 'starting',
  expired: false,
  /** The word of a connect that failed, from the address. */
  error: refusedWith(),
  /** The date that is looked at; null for the member's today. */
  date: isDate(parameters.get('date')) ? parameters.get('date') : null,
  /** The member's today, as the API told it last. */
  today: null,
  day: null,
  /** When this device got the day. */
  at: null,
  connection: null,
  /** `online`, `offline` or `away`. */
  network: 'online',
  problem: null,
  status: null,
  trend: null,
  /** WHOOP is being asked; for long enough to say so above the day. */
  busy: false,
  slow: false,
  connecting: false,
  link: null,
};

function change(what) {
  Object.assign(now, what);
  draw();
}

const shownDate = () => now.date ?? now.today ?? now.day?.date ?? null;

// ---- what is seen

function draw() {
  document.title = say('title');
  document.querySelector('h1').textContent = say('title');
  document.body.dataset.phase = now.phase;
  const inDay = now.phase === 'day';
  drawFreshness(inDay);
  drawDates(inDay && shownDate() !== null);
  drawNotice(inDay);
  drawMain();
  drawFoot(inDay);
  drawTrend(inDay);
}

/** After the day, which people come for. */
async function drawTrend(inDay) {
  place('trend').hidden = !inDay || !now.trend;
  if (!inDay || !now.trend || (!now.day && now.network === 'online')) return;
  const { showTrend } = await import('./trend.js');
  if (now.trend) showTrend(place('trend'), now.trend.days);
}

function drawFreshness(inDay) {
  const synced = now.day?.meta.last_synced_at;
  const text = inDay && now.day ? (synced ? say('lastSynced', { when: moment(synced) }) : say('neverSynced')) : '';
  show(place('freshness'), text, () => text);
  const button = place('refresh');
  button.hidden = !inDay || now.connection !== 'connected' || now.network !== 'online';
  button.disabled = now.busy;
  button.textContent = say(now.busy ? 'refreshing' : 'refresh');
}

function drawDates(inDay) {
  const nav = place('dates');
  nav.hidden = !inDay;
  if (!inDay) return;
  const date = shownDate();
  const latest = now.today ?? (date > deviceToday() ? date : deviceToday());
  // A device that was offline over midnight knows no newer day.
  const isToday = date === now.today && (now.network === 'online' || date >= deviceToday());
  const name = isToday ? `${say('today')}, ${short(date)}` : short(date);
  show(nav, [date, latest, isToday], () => [
    el('button', { type: 'button', id: 'previous', 'aria-label': say('previousDay'), onclick: () => go(plus(shownDate(), -1)) }, '‹'),
    el('button', { type: 'button', class: 'day', id: 'choose', 'aria-haspopup': 'dialog', 'aria-label': `${name}. ${say('chooseDate', { date: long(date) })}`, onclick: choose }, name),
    el('button', { type: 'button', id: 'next', 'aria-label': say('nextDay'), disabled: date >= latest, onclick: () => go(plus(shownDate(), 1)) }, '›'),
    date === latest ? null : el('button', { type: 'button', id: 'today', onclick: () => go(null) }, say('today')),
  ]);
}

function drawNotice(inDay) {
  const notice = inDay || now.problem || now.network !== 'online' ? states.noticeOf(now) : null;
  show(place('notice'), notice, () => notice && states.noticeBox(notice, { again: load, refresh: () => load('force'), connect, reconnect: connect }));
}

function drawMain() {
  const main = place('main');
  switch (now.phase) {
    case 'starting':
      return show(main, 'starting', () => el('p', { class: 'quiet center' }, say('loading')));
    case 'signed-out':
      return show(main, ['signed-out', now.expired], () => states.signedOut(now.expired));
    case 'came-back':
      return show(main, ['came-back', now.error], () => states.cameBack({ connected: !now.error, error: now.error }));
    case 'connect': {
      const { error, connecting: busy, link } = now;
      return show(main, ['connect', error, busy, link, session.name], () => states.connectCard({ error, busy, link, connect, who: session.name }));
    }
    case 'first-sync':
      return show(main, ['first-sync', now.status?.data_types], () => states.firstSync(now.status));
    default:
      return drawDay(main);
  }
}

function drawDay(main) {
  const { day } = now;
  if (!day) {
    const absent = now.network !== 'online';
    return show(main, ['no day', absent], () => (absent ? states.nothingKept() : el('p', { class: 'quiet center' }, say('loading'))));
  }
  if (isEmpty(day)) {
    const dayBefore = day.date === now.today ? () => go(plus(day.date, -1)) : null;
    const mayRead = now.connection === 'connected' && now.network === 'online' && !now.busy;
    const read = mayRead ? () => load('force') : null;
    return show(main, ['empty', day.date, day.missing, day.meta.sync, Boolean(dayBefore), mayRead], () => states.emptyDay(day, { dayBefore, read }));
  }
  // Each card in a place of its own: one that did not change stays as it is.
  show(main, 'cards', () => el('div', { class: 'cards', id: 'cards' }));
  const cards = place('cards');
  const wanted = cardsOf(day);
  for (const slot of [...cards.children]) {
    if (!wanted.some(([name]) => name === slot.dataset.card)) slot.remove();
  }
  if (!performance.getEntriesByName('day').length) performance.mark('day');
  wanted.forEach(([name, what, make], index) => {
    let slot = cards.querySelector(`[data-card="${name}"]`);
    if (!slot) {
      slot = el('div', { 'data-card': name });
      cards.insertBefore(slot, cards.children[index] ?? null);
    }
    show(slot, what, make);
  });
}

function drawFoot(inDay) {
  const foot = place('foot');
  foot.hidden = !inDay;
  const { status, connection } = now;
  const history = status && connection === 'connected'
    ? status.backfill.complete
      ? say('historyAll')
      : status.backfill.stored_from && say('historySoFar', { date: numeric(status.backfill.stored_from.slice(0, 10)) })
    : null;
  const mayLeave = inDay && ['connected', 'reauth_required'].includes(connection) && now.network === 'online';
  const who = session.name;
  show(foot, [history, mayLeave, who], () => [
    who ? el('span', { class: 'quiet small' }, say('signedInAs', { who })) : null,
    history ? el('span', { class: 'quiet small' }, history) : null,
    mayLeave ? el('button', { type: 'button', class: 'danger', id: 'disconnect', onclick: disconnect }, say('disconnect')) : null,
  ]);
}

// ---- what is done

function go(date, remember = true) {
  if (date && now.today && date > now.today) return;
  const wanted = date === now.today ? null : date;
  if (remember) history.pushState({}, '', wanted ? `?date=${wanted}` : location.pathname);
  Object.assign(now, { date: wanted, error: null });
  load();
}

async function choose() {
  const { openCalendar } = await import('./calendar.js');
  openCalendar({
    date: shownDate(),
    today: now.today ?? shownDate(),
    known: now.trend?.days.map((day) => [day.date, day]) ?? [],
    choose: (date) => go(date),
  });
}

/** Something is wrong: says what, and keeps on showing what there is. */
function fail(error) {
  if (error instanceof Away) {
    const phase = now.phase === 'starting' ? 'day' : now.phase;
    change({ phase, network: navigator.onLine ? 'away' : 'offline', busy: false, connecting: false });
    askAgain();
  } else if (error instanceof Problem && error.status === 401) {
    signOut();
  } else if (error instanceof Problem && error.status === 400 && now.date) {
    // A date that the address names, and the member cannot have: one to come.
    history.replaceState({}, '', location.pathname);
    go(null, false);
  } else if (error instanceof Problem) {
    const { status, message: text } = error;
    change({ network: 'online', problem: { status, text }, busy: false, connecting: false });
    if (status === 503) askAgain();
  } else {
    throw error;
  }
}

let again = null;

function askAgain() {
  clearTimeout(again);
  again = setTimeout(() => now.phase === 'day' && load(), ASK_AGAIN);
}

function signOut() {
  stop();
  session.end();
  change({ phase: 'signed-out', expired: true, day: null, trend: null, problem: null });
}

/** Whether WHOOP may have more than what is stored. */
const isWorthAsking = ({ meta, missing }) =>
  meta.connection === 'connected' && (meta.stale || Object.values(missing).includes('not_synced'));

let loading = null;

/**
 * Shows the day: what this device kept, at once; what is stored, in milliseconds; and
 * then, where it is due, what WHOOP has.
 */
async function load(refresh = 'auto') {
  loading?.abort();
  const mine = (loading = new AbortController());
  const { signal } = mine;
  const { date } = now;
  clearTimeout(again);
  try {
    if (refresh !== 'force') {
      const asked = api.day(date, 'never', signal);
      asked.catch(() => {}); // seen below, when what is kept is shown
      await showKept(date, signal);
      const stored = await asked;
      if (signal.aborted) return;
      take(stored, date);
      if (now.phase === 'day' && date !== null && (now.today ?? '') < deviceToday()) learnToday(signal);
      if (!isWorthAsking(stored)) return;
    }
    change({ busy: true, slow: false });
    setTimeout(() => !signal.aborted && now.busy && change({ slow: true }), SLOW);
    const fresh = await api.day(date, refresh === 'force' ? 'force' : 'auto', signal);
    if (signal.aborted) return;
    now.busy = false;
    take(fresh, date);
  } catch (error) {
    if (signal.aborted) return;
    now.busy = false;
    // An older day than one would wish, rather than none.
    if (!now.day) await showKept(date, signal, true);
    if (!signal.aborted) fail(error);
  }
}

/** Somebody who begins with another date has not been told yet which one is today. */
async function learnToday(signal) {
  try {
    const { date, user_id: user } = await api.day(null, 'never', signal);
    if (user !== session.user || date === now.today) return;
    box.put('today', date);
    change({ today: date });
    catchUpSoon();
  } catch (error) {
    if (!signal.aborted && !(error instanceof Away)) console.warn('today is not known:', error);
  }
}

async function showKept(date, signal, anyway = false) {
  // Online, a day that is over is not shown for the moment until today's is there.
  const isOver = date === null && now.today < deviceToday() && navigator.onLine && !anyway;
  const key = isOver ? null : (date ?? now.today);
  const found = key && (await box.get(dayKey(key)));
  if (signal.aborted) return;
  if (now.day && now.day.date === key && now.network === 'online') return;
  if (found) change({ phase: 'day', day: found.day, at: found.at, connection: found.day.meta.connection });
  else if (now.phase === 'day' && now.day?.date !== key) change({ day: null, at: null });
}

/** A day came from the API. */
function take(day, date) {
  // Asked for somebody who has left meanwhile.
  if (day.user_id !== session.user) return;
  const { connection } = day.meta;
  const nothing = isEmpty(day) && day.meta.last_synced_at === null;
  const was = now.network;
  Object.assign(now, { connection, network: 'online', problem: null });
  if (connection === 'never_connected') return startAnew();
  if (date === null && now.today !== day.date) {
    now.today = day.date;
    box.put('today', day.date);
  }
  Object.assign(now, { day, at: new Date().toISOString() });
  if (!nothing) {
    keepDay(box, day);
    glance.keep(session.user, now.today, day);
  }
  if (connection === 'connected' && day.meta.last_synced_at === null && now.phase !== 'day') return watchFirstSync();
  change({ phase: 'day' });
  start();
  if (was !== 'online') catchUpSoon();
}

async function watchFirstSync() {
  start();
  // Where nobody reads any more, the day says why.
  for (let idle = 0; idle < LOOKS_IDLE;) {
    try {
      const status = await api.status();
      if (states.isFirstSyncOver(status)) break;
      change({ phase: 'first-sync', status, connecting: false, link: null, error: null });
      idle = status.syncing ? 0 : idle + 1;
    } catch (error) {
      if (!(error instanceof Away)) return fail(error);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    if (now.phase !== 'first-sync') return;
  }
  // A day without a record is one, too.
  Object.assign(now, { phase: 'day', day: null, connecting: false, link: null });
  load();
}

async function connect() {
  // Opened at once, while the browser still knows that somebody asked for it.
  const window_ = session.lasting ? null : open('about:blank', '_blank');
  change({ connecting: true, error: null });
  try {
    const { authorization_url: url } = await api.connect('/');
    if (session.lasting) return location.assign(url);
    if (window_) {
      window_.opener = null;
      window_.location = url;
    }
    change({ phase: now.phase === 'day' ? 'day' : 'connect', link: url });
    start();
  } catch (error) {
    window_?.close();
    change({ connecting: false });
    fail(error);
  }
}

function disconnect() {
  const erase = el('input', { type: 'checkbox', id: 'erase' });
  const dialog = el('dialog', { 'aria-labelledby': 'leave', onclose: () => dialog.remove() },
    el('h2', { id: 'leave' }, say('disconnectSure')),
    el('p', {}, say('disconnectWhy')),
    el('p', {}, el('label', {}, erase, ' ', say('erase'))),
    el('p', {},
      el('button', { type: 'button', class: 'danger', onclick: leave }, say('disconnect')), ' ',
      el('button', { type: 'button', onclick: () => dialog.close() }, say('cancel'))));
  async function leave() {
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
 * Nothing is stored of the member, whoever erased it and wherever: then nothing is here,
 * whatever is under way. Only afterwards is it said.
 */
async function startAnew() {
  if (now.phase !== 'connect') {
    stop();
    box = box.anew();
    Object.assign(now, { day: null, trend: null, status: null, today: null });
    const mine = box;
    await mine.opened;
    if (mine !== box) return;
  }
  change({ phase: 'connect' });
}

// ---- what happens by itself

let following = null;

/** Follows the member's changes, and keeps the device's copy like them. */
function start() {
  if (following) return;
  following = new AbortController();
  follow(following.signal, {
    up: () => {
      if (now.phase === 'day' && now.network !== 'online') load();
      else if (now.phase !== 'first-sync') catchUpSoon();
    },
    down: () => now.phase === 'day' && change({ network: navigator.onLine ? 'away' : 'offline' }),
    refused: signOut,
    day: ({ date }) => {
      if (now.phase === 'day' && date === shownDate()) refreshShown();
      catchUpSoon();
    },
    connection: ({ connection }) => {
      const was = now.connection;
      now.connection = connection;
      if (now.phase === 'connect' && connection === 'connected') watchFirstSync();
      else if (was && was !== connection) load();
    },
    reset: () => {
      box.remove('position').then(catchUpSoon);
      load();
    },
  });
}

function stop() {
  loading?.abort();
  following?.abort();
  following = null;
}

/** The day that is looked at changed in the database. */
async function refreshShown() {
  const { date } = now;
  const signal = loading?.signal;
  try {
    const day = await api.day(date, 'never', signal);
    // Somebody who went to another day meanwhile wants that one.
    if (date === now.date && signal === loading?.signal) take(day, date);
  } catch (error) {
    if (!signal?.aborted) fail(error);
  }
}

let catching = null;
let onceMore = false;

/** Catches up, once at a time; what came meanwhile is caught up with afterwards. */
function catchUpSoon() {
  if (!now.today || !session.user) return;
  if (catching) {
    onceMore = true;
    return;
  }
  const mine = box;
  catching = (async () => {
    do {
      onceMore = false;
      try {
        await catchUp(mine, now.today, (trend) => mine === box && change({ trend }));
        const status = await api.status();
        if (mine === box) change({ status });
      } catch (error) {
        if (!(error instanceof Away)) console.warn('not caught up:', error);
        onceMore = mine !== box;
        break;
      }
    } while (onceMore && mine === box);
    catching = null;
    // For whoever signed in meanwhile.
    if (onceMore) catchUpSoon();
  })();
}

// ---- how it begins

async function begin() {
  session.begin();
  place('refresh').addEventListener('click', () => load('force'));
  const { user } = session;
  if (parameters.has('status') || parameters.has('error')) {
    history.replaceState({}, '', location.pathname);
    const word = parameters.get('confirm');
    // Only the window that has the token can confirm the connect.
    if (word) now.error = user ? await confirm(word) : await confirmElsewhere(word);
    if (!user) return change({ phase: 'came-back' });
  }
  confirmForOthers(() => Boolean(session.user));
  if (!user) return withoutToken();
  await openBox(user);
  await load();
}

/** What this device has of a member: first the day seen last, then everything. */
async function openBox(user) {
  const seen = glance.of(user, now.date);
  if (seen) change({ phase: 'day', day: seen.day, at: seen.at, today: seen.today, connection: seen.day.meta.connection });
  const mine = (box = Box.of(user));
  const [trend = null, today = null] = await Promise.all([mine.get('trend'), mine.get('today')]);
  if (mine !== box) return;
  Object.assign(now, { trend, today: now.today ?? today });
}

/** Nobody is signed in; offline the member who was here last sees what was kept. */
async function withoutToken() {
  const user = lastMember();
  if (navigator.onLine || !user) return change({ phase: 'signed-out' });
  await openBox(user);
  change({ phase: 'day', network: 'offline' });
  await showKept(now.date, new AbortController().signal, true);
}

session.onHandedOver(restart);

async function restart() {
  stop();
  box?.close();
  Object.assign(now, {
    phase: 'starting', expired: false, day: null, at: null, today: null, trend: null, status: null, problem: null, error: null,
    network: 'online', connection: null, connecting: false, link: null,
  });
  draw();
  await openBox(session.user);
  load();
}

addEventListener('popstate', () => {
  const date = new URLSearchParams(location.search).get('date');
  now.date = isDate(date) ? date : null;
  if (now.phase === 'day') load();
});
addEventListener('online', () => now.phase === 'day' && session.user && load());
addEventListener('offline', () => now.phase === 'day' && change({ network: 'offline' }));
addEventListener('colours', draw);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && now.phase === 'day' && session.user) load();
});
setInterval(() => {
  if (!document.hidden && now.phase === 'day' && session.user && !now.busy) load();
}, LOOK_AGAIN);
addEventListener('keydown', (event) => {
  if (now.phase !== 'day' || event.altKey || event.ctrlKey || event.metaKey || document.querySelector('dialog[open]')) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step && shownDate() && !event.target.closest('input, select, [role="region"]')) go(plus(shownDate(), step));
});

// A swipe, as on the phone: to the right for the day before.
let touched = null;
place('main').addEventListener('touchstart', ({ touches }) => {
  touched = touches.length === 1 ? { x: touches[0].clientX, y: touches[0].clientY } : null;
}, { passive: true });
place('main').addEventListener('touchend', ({ changedTouches }) => {
  if (!touched || now.phase !== 'day' || !shownDate()) return;
  const x = changedTouches[0].clientX - touched.x;
  const y = changedTouches[0].clientY - touched.y;
  touched = null;
  if (Math.abs(x) > 60 && Math.abs(y) < 40) go(plus(shownDate(), x > 0 ? -1 : 1));
}, { passive: true });

navigator.serviceWorker?.register(ownScript('/sw.js'), { scope: '/', updateViaCache: 'none' }).catch((error) => {
  console.warn('this browser will not open the page offline:', error);
});

draw();
begin();
