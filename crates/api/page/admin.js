// The operator's page: the data of `sync-worker status`, `doctor` and `webhooks`.

import { el } from './dom.js';

const OPERATIONS = '/api/v1/whoop/admin';
/** Interval at which a visible page reads its data again. */
const REFRESH_INTERVAL_MS = 30_000;
/** Maximum number of webhook events in the list. */
const MAX_EVENTS = 50;

const byId = (id) => document.getElementById(id);

const onOwnMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

/** A key in the address is also in the browser's history, so it is accepted only on a developer's own machine. */
function keyFromAddress() {
  const passed = new URLSearchParams(location.hash.slice(1)).get('key');
  if (passed) history.replaceState(null, '', location.pathname);
  return onOwnMachine ? passed : null;
}

/** The service key, which is only in this page's memory. */
let key = keyFromAddress();

class Refused extends Error {}

async function requestJson(method, path, body) {
  const response = await fetch(OPERATIONS + path, {
    method,
    cache: 'no-store',
    headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  }).catch((error) => {
    throw new Error(`The server does not answer (${error.message}).`);
  });
  const result = await response.json().catch(() => ({}));
  if (response.status === 401 || response.status === 403) throw new Refused(result.detail);
  if (!response.ok) throw new Error(result.detail ?? `The server returned status ${response.status}.`);
  return result;
}

const formatTime = (instant) =>
  instant ? `${instant.slice(0, 10)} ${instant.slice(11, 16)} UTC` : '–';

const formatDuration = (seconds) => {
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

const countOf = (counts, name) => counts[name] ?? 0;

function members({ members, failing, rejected_records }) {
  return card('Members', facts([
    ['connected', countOf(members, 'connected')],
    ['have to connect again', countOf(members, 'reauth_required')],
    ['disconnected', countOf(members, 'disconnected')],
    ['last sync failed', failing],
    ['records set aside', rejected_records],
  ]));
}

function quota({ quota }) {
  const used = quota.calls_per_day - quota.left_in_day;
  const spent = Object.entries(quota.spent).filter(([, calls]) => calls > 0);
  return card('Quota',
    el('p', {}, el('progress', { max: quota.calls_per_day, value: used, 'aria-label': `${used} of ${quota.calls_per_day} calls used in 24 hours` })),
    facts([
      ['remaining in 24 hours', `${quota.left_in_day} of ${quota.calls_per_day}`],
      ['remaining in this minute', `${quota.left_in_minute} of ${quota.calls_per_minute}`],
      ...spent.map(([purpose, calls]) => [`used for ${purpose}`, calls]),
    ]));
}

function freshness({ freshness }) {
  return card('Freshness', facts([
    ...['recovery', 'sleep', 'workout', 'cycle'].map((type) => [`oldest ${type}`, formatDuration(freshness.oldest_seconds[type])]),
    ['delay from WHOOP, median', formatDuration(freshness.median_delay_seconds)],
    ['delay, 95th percentile', formatDuration(freshness.p95_delay_seconds)],
    ['latest webhook', formatTime(freshness.last_webhook_at)],
  ]), el('p', { class: 'quiet small' }, 'Oldest: time since the last sync of the least recently synced active member. Delays: of the changes in the last seven days.'));
}

function runs({ runs }) {
  const rows = runs.map((run) => [
    run.slot ?? 'manual', formatTime(run.started_at), run.finished_at ? formatTime(run.finished_at) : 'running or killed',
    run.status, String(run.members), String(run.calls), String(run.records), String(run.failures), run.detail ?? '',
  ]);
  return card('Last runs', rows.length
    ? table('Last runs', ['slot', 'started', 'ended', 'result', 'members', 'calls', 'records', 'failures', 'detail'], rows)
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
    }, `${name.replace('_', ' ')} ${countOf(counts, name)}`)));
  const deadCount = countOf(counts, 'dead');
  const rows = events.map((event) => [
    String(event.id), formatTime(event.received_at), event.event_type, event.record_id, String(event.whoop_user_id),
    String(event.attempts), event.last_error ?? '',
    event.state === 'unknown_type' ? '' : el('button', { type: 'button', 'aria-label': `Replay event ${event.id}`, onclick: () => replay({ ids: [event.id] }) }, 'Replay'),
  ]);
  return card('Webhooks', choice,
    deadCount ? el('p', {}, el('button', { type: 'button', class: 'main', id: 'replay-dead', onclick: () => replay({ states: ['dead'] }) }, `Replay all dead events (${deadCount})`)) : null,
    rows.length
      ? table('Webhooks', ['id', 'received', 'type', 'record', 'WHOOP user id', 'attempts', 'last error', ''], rows)
      : el('p', { class: 'quiet' }, `No event has the state ${state.replace('_', ' ')}.`));
}

const STATE_LABELS = { ok: 'ok', warning: 'Warning', problem: 'Problem' };
const STATE_ORDER = ['problem', 'warning', 'ok'];
const worstFirst = (checks) => [...checks].sort((one, other) => STATE_ORDER.indexOf(one.state) - STATE_ORDER.indexOf(other.state));
let checkResults = null;

function doctor() {
  const button = el('button', { type: 'button', id: 'run-checks', onclick: runChecks }, 'Run checks');
  return card('Doctor',
    el('p', {}, button, ' ', el('span', { class: 'quiet small' }, 'Uses one call of WHOOP’s quota.')),
    checkResults && table('Results of the checks', ['', 'check', 'result', 'what to do'],
      worstFirst(checkResults).map((result) => [el('b', {}, STATE_LABELS[result.state]), result.check, result.detail, result.what_to_do ?? ''])));
}

async function runChecks() {
  try {
    ({ checks: checkResults } = await requestJson('POST', '/doctor'));
    await read();
    byId('run-checks')?.focus();
  } catch (error) {
    fail(error);
  }
}

async function replay(selection) {
  try {
    const { replayed } = await requestJson('POST', '/webhooks/replay', selection);
    await read();
    showNotice('', `${replayed} event(s) will be processed again within seconds.`);
  } catch (error) {
    fail(error);
  }
}

function showNotice(kind, title, text) {
  byId('notice').replaceChildren(el('div', { class: `notice ${kind}` }, el('p', {}, title), text ? el('p', {}, text) : null));
}

function fail(error) {
  if (error instanceof Refused) return signIn(error.message);
  showNotice('bad', 'The request failed', error.message);
}

let timer = null;

async function read() {
  clearTimeout(timer);
  try {
    const [overview, webhooks] = await Promise.all([requestJson('GET', '/status'), requestJson('GET', `/webhooks?state=${state}&limit=${MAX_EVENTS}`)]);
    byId('notice').replaceChildren();
    byId('as-of').textContent = `As of ${formatTime(new Date().toISOString())}`;
    byId('refresh').hidden = false;
    byId('main').replaceChildren(el('div', { class: 'cards' },
      members(overview), quota(overview), el('div', { class: 'wide' }, freshness(overview)),
      el('div', { class: 'wide', id: 'doctor' }, doctor()), el('div', { class: 'wide' }, runs(overview)), el('div', { class: 'wide' }, inbox(webhooks))));
  } catch (error) {
    fail(error);
  }
  if (key) timer = setTimeout(refreshIfIdle, REFRESH_INTERVAL_MS);
}

/** Reads the data again, unless the page is hidden or the operator is using a control on it. */
function refreshIfIdle() {
  if (document.hidden || byId('main').contains(document.activeElement)) timer = setTimeout(refreshIfIdle, REFRESH_INTERVAL_MS);
  else read();
}

function signIn(reason) {
  key = null;
  clearTimeout(timer);
  byId('refresh').hidden = true;
  byId('as-of').textContent = '';
  byId('notice').replaceChildren();
  const field = el('input', { type: 'password', id: 'key', autocomplete: 'off', required: true });
  byId('main').replaceChildren(el('form', {
    class: 'card center',
    onsubmit: (event) => {
      event.preventDefault();
      key = field.value.trim();
      read();
    },
  },
  el('h2', {}, 'For operators'),
  reason ? el('p', { role: 'alert' }, `Refused: ${reason}`) : null,
  el('p', {}, el('label', { for: 'key' }, 'Service key'), ' ', field),
  el('p', {}, el('button', { class: 'main' }, 'Open')),
  el('p', { class: 'quiet small' }, 'The key is stored only in the memory of this page and is deleted when you close it.')));
  field.focus();
}

byId('refresh').addEventListener('click', read);
if (key) read();
else signIn();
