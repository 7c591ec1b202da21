// The operator's page: the numbers of `sync-worker status`, `doctor` and `webhooks`.

import { el } from './dom.js';

const OPERATIONS = '/api/v1/whoop/admin';
/** The numbers are read again so often while somebody looks. */
const EVERY = 30_000;
/** Events that are listed. */
const LISTED = 50;

const place = (id) => document.getElementById(id);

const onOwnMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

/** A key in the address is in the browser's history: it is taken on a developer's own machine alone. */
function handedOver() {
  const handed = new URLSearchParams(location.hash.slice(1)).get('key');
  if (handed) history.replaceState(null, '', location.pathname);
  return onOwnMachine ? handed : null;
}

/** The service key: in this page's memory alone. */
let key = handedOver();

class Refused extends Error {}

async function ask(method, path, body) {
  const response = await fetch(OPERATIONS + path, {
    method,
    cache: 'no-store',
    headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  }).catch((error) => {
    throw new Error(`The server does not answer (${error.message}).`);
  });
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401 || response.status === 403) throw new Refused(answer.detail);
  if (!response.ok) throw new Error(answer.detail ?? `The server answered ${response.status}.`);
  return answer;
}

const when = (instant) =>
  instant ? `${instant.slice(0, 10)} ${instant.slice(11, 16)} UTC` : '–';

const span = (seconds) => {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
};

function card(title, ...content) {
  const id = title.toLowerCase().replaceAll(' ', '-');
  return el('section', { class: 'card', id: `card-${id}`, 'aria-labelledby': id }, el('h2', { id }, title), content);
}

const facts = (pairs) =>
  el('dl', { class: 'facts' }, pairs.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, String(value)))));

function table(label, head, rows) {
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
    el('table', { class: 'plain' },
      el('thead', {}, el('tr', {}, head.map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell) => el('td', {}, cell)))))));
}

const many = (counts, name) => counts[name] ?? 0;

function members({ members, failing, rejected_records }) {
  return card('Members', facts([
    ['connected', many(members, 'connected')],
    ['have to connect again', many(members, 'reauth_required')],
    ['disconnected', many(members, 'disconnected')],
    ['last sync failed', failing],
    ['records set aside', rejected_records],
  ]));
}

function quota({ quota }) {
  const used = quota.calls_per_day - quota.left_in_day;
  const spent = Object.entries(quota.spent).filter(([, calls]) => calls > 0);
  return card('Quota',
    el('p', {}, el('progress', { max: quota.calls_per_day, value: used, 'aria-label': `${used} of ${quota.calls_per_day} calls of 24 hours made` })),
    facts([
      ['left of 24 hours', `${quota.left_in_day} of ${quota.calls_per_day}`],
      ['left of this minute', `${quota.left_in_minute} of ${quota.calls_per_minute}`],
      ...spent.map(([who, calls]) => [`made for ${who}`, calls]),
    ]));
}

function freshness({ freshness }) {
  return card('Freshness', facts([
    ...['recovery', 'sleep', 'workout', 'cycle'].map((type) => [`oldest ${type}`, span(freshness.oldest_seconds[type])]),
    ['change to database, median', span(freshness.median_delay_seconds)],
    ['95th percentile', span(freshness.p95_delay_seconds)],
    ['latest webhook', when(freshness.last_webhook_at)],
  ]), el('p', { class: 'quiet small' }, 'Oldest: of the active member whose was read longest ago. Delays: of seven days.'));
}

function runs({ runs }) {
  const rows = runs.map((run) => [
    run.slot ?? 'by hand', when(run.started_at), run.finished_at ? when(run.finished_at) : 'running, or killed',
    run.status, String(run.members), String(run.calls), String(run.records), String(run.failures), run.detail ?? '',
  ]);
  return card('Last runs', rows.length
    ? table('Last runs', ['slot', 'began', 'ended', 'came to', 'members', 'calls', 'records', 'failures', 'detail'], rows)
    : el('p', {}, 'No run yet.'));
}

let state = 'dead';

function inbox({ counts, events }) {
  const states = ['pending', 'done', 'dead', 'unknown_type', 'unknown_member'];
  const choice = el('div', { class: 'choice', role: 'group', 'aria-label': 'State' }, states.map((name) =>
    el('button', {
      type: 'button', 'data-state': name, 'aria-pressed': String(name === state),
      onclick: () => {
        state = name;
        read().then(() => document.querySelector(`[data-state="${name}"]`)?.focus());
      },
    }, `${name.replace('_', ' ')} ${many(counts, name)}`)));
  const dead = many(counts, 'dead');
  const rows = events.map((event) => [
    String(event.id), when(event.received_at), event.event_type, event.record_id, String(event.whoop_user_id),
    String(event.attempts), event.last_error ?? '',
    event.state === 'unknown_type' ? '' : el('button', { type: 'button', 'aria-label': `Replay event ${event.id}`, onclick: () => replay({ ids: [event.id] }) }, 'Replay'),
  ]);
  return card('Webhooks', choice,
    dead ? el('p', {}, el('button', { type: 'button', class: 'main', id: 'replay-dead', onclick: () => replay({ states: ['dead'] }) }, `Replay the ${dead} given up`)) : null,
    rows.length
      ? table('Webhooks', ['id', 'received', 'type', 'record', 'WHOOP member', 'tries', 'why', ''], rows)
      : el('p', { class: 'quiet' }, `None is ${state.replace('_', ' ')}.`));
}

const WORDS = { ok: 'ok', warning: 'Warning', problem: 'Problem' };
const ORDER = ['problem', 'warning', 'ok'];
const worstFirst = (checks) => [...checks].sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state));
let diagnosis = null;

function doctor() {
  const look = el('button', { type: 'button', id: 'examine', onclick: examine }, 'Look now');
  return card('Doctor',
    el('p', {}, look, ' ', el('span', { class: 'quiet small' }, 'Makes one call to WHOOP.')),
    diagnosis && table('What was found', ['', 'what', 'found', 'what to do'],
      worstFirst(diagnosis).map((one) => [el('b', {}, WORDS[one.state]), one.check, one.detail, one.what_to_do ?? ''])));
}

async function examine() {
  try {
    ({ checks: diagnosis } = await ask('POST', '/doctor'));
    await read();
    place('examine')?.focus();
  } catch (error) {
    fail(error);
  }
}

async function replay(which) {
  try {
    const { replayed } = await ask('POST', '/webhooks/replay', which);
    await read();
    tell('', `${replayed} to be worked off again, within seconds.`);
  } catch (error) {
    fail(error);
  }
}

function tell(kind, title, text) {
  place('notice').replaceChildren(el('div', { class: `notice ${kind}` }, el('p', {}, title), text ? el('p', {}, text) : null));
}

function fail(error) {
  if (error instanceof Refused) return signIn(error.message);
  tell('bad', 'This could not be read', error.message);
}

let timer = null;

async function read() {
  clearTimeout(timer);
  try {
    const [overview, webhooks] = await Promise.all([ask('GET', '/status'), ask('GET', `/webhooks?state=${state}&limit=${LISTED}`)]);
    place('notice').replaceChildren();
    place('as-of').textContent = `As of ${when(new Date().toISOString())}`;
    place('again').hidden = false;
    place('main').replaceChildren(el('div', { class: 'cards' },
      members(overview), quota(overview), el('div', { class: 'wide' }, freshness(overview)),
      el('div', { class: 'wide', id: 'doctor' }, doctor()), el('div', { class: 'wide' }, runs(overview)), el('div', { class: 'wide' }, inbox(webhooks))));
  } catch (error) {
    fail(error);
  }
  if (key) timer = setTimeout(later, EVERY);
}

/** Not under somebody's hands, and not for nobody. */
function later() {
  if (document.hidden || place('main').contains(document.activeElement)) timer = setTimeout(later, EVERY);
  else read();
}

function signIn(why) {
  key = null;
  clearTimeout(timer);
  place('again').hidden = true;
  place('as-of').textContent = '';
  place('notice').replaceChildren();
  const field = el('input', { type: 'password', id: 'key', autocomplete: 'off', required: true });
  place('main').replaceChildren(el('form', {
    class: 'card center',
    onsubmit: (event) => {
      event.preventDefault();
      key = field.value.trim();
      read();
    },
  },
  el('h2', {}, 'For operators'),
  why ? el('p', { role: 'alert' }, `Refused: ${why}`) : null,
  el('p', {}, el('label', { for: 'key' }, 'Service key'), ' ', field),
  el('p', {}, el('button', { class: 'main' }, 'Open')),
  el('p', { class: 'quiet small' }, 'It stays in this page’s memory and is gone when you close it.')));
  field.focus();
}

place('again').addEventListener('click', read);
if (key) read();
else signIn();
