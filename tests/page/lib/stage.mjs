// The whole system on this machine with nobody connected, and the hands on it.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const DEMO = process.env.DEMO ?? fileURLToPath(new URL('../../../target/debug/demo', import.meta.url));

/**
 * Hours by which everybody's clock is ahead of this machine's, of AHEAD: a member's day
 * is another one at another hour. The programs are told by libfaketime, the browser by
 * a Date of its own.
 */
export const AHEAD = Number(process.env.AHEAD ?? 0);

const AHEAD_OF_US = AHEAD && {
  LD_PRELOAD: '/usr/$LIB/faketime/libfaketimeMT.so.1',
  FAKETIME: `${AHEAD < 0 ? '' : '+'}${AHEAD}h`,
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
};

/** Milliseconds, by everybody's clock. */
export const now = () => Date.now() + AHEAD * 3_600_000;

const base64 = (value) => Buffer.from(value).toString('base64url');

async function json(method, url, body, headers) {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** Starts it; `environment` are variables that the API reads. */
export async function startStage(environment = {}) {
  const child = spawn(DEMO, ['--nobody', '--people', '12', '--api-port', '18080', '--sim-port', '18090'], {
    env: { ...process.env, ...AHEAD_OF_US, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    new Promise((resolve) => lines.once('line', resolve)),
    ended.then((code) => {
      throw new Error(`the demo ended with ${code}`);
    }),
  ]);
  return new Stage(JSON.parse(first), child, ended);
}

/** Whether the night that ended on the person's today has its recovery. */
function hasRecoveryToday({ sleeps, recoveries }) {
  const dateAt = (millis, offset) => {
    const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(offset) ?? [0, '+', 0, 0];
    const east = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1);
    return new Date(millis + east * 60_000).toISOString().slice(0, 10);
  };
  const scored = new Set(recoveries.filter((one) => one.score_state === 'SCORED').map((one) => one.sleep_id));
  return sleeps.some((sleep) => !sleep.nap && scored.has(sleep.id)
    && dateAt(Date.parse(sleep.end), sleep.timezone_offset) === dateAt(now(), sleep.timezone_offset));
}

class Stage {
  #child;
  #ended;

  constructor({ api, simulator, jwt_secret, service_key }, child, ended) {
    this.api = api;
    this.simulator = simulator;
    this.secret = jwt_secret;
    this.serviceKey = service_key;
    this.#child = child;
    this.#ended = ended;
  }

  async stop() {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }

  /** A member's JWT, as the app's sign-in would make it. */
  token(user, seconds = 3600) {
    const claims = { sub: user, aud: 'authenticated', exp: Math.floor(now() / 1000) + seconds };
    const head = `${base64(JSON.stringify({ alg: 'HS256', typ: 'JWT' }))}.${base64(JSON.stringify(claims))}`;
    return `${head}.${createHmac('sha256', this.secret).update(head).digest('base64url')}`;
  }

  page(user, rest = '') {
    return `${this.api}/${rest}#token=${this.token(user)}`;
  }

  ask(method, path, body) {
    return json(method, this.api + path, body, { authorization: `Bearer ${this.serviceKey}` });
  }

  day(user, rest = '') {
    return this.ask('GET', `/api/v1/whoop/daily-data/${user}?refresh=never${rest}`);
  }

  /** Connects a member without a browser, but for a scope, and waits for the first sync. */
  async connect(user, person, without = null) {
    const { authorization_url: page } = await this.ask('POST', `/api/v1/whoop/connect/${user}`, {});
    const form = new URLSearchParams([...new URL(page).searchParams, ['person', person], ['decision', 'allow']]);
    form.set('scope', form.get('scope').split(' ').filter((one) => one !== without).join(' '));
    const consented = await fetch(page.split('?')[0], { method: 'POST', body: form, redirect: 'manual' });
    const back = await fetch(consented.headers.get('location'));
    if (!back.ok) throw new Error(`the callback: ${back.status} ${await back.text()}`);
    const isRead = ({ syncing, data_types }) => !syncing && Object.values(data_types).every(({ sync_status: word }) => ['success', 'not_granted'].includes(word));
    while (!isRead(await this.ask('GET', `/api/v1/whoop/sync-status/${user}`)));
  }

  /** A member whose today has a recovery: somewhere on earth it is past breakfast. */
  async memberOfToday(name) {
    const { people } = await this.people();
    for (const [index, { whoop_user_id: person }] of people.entries()) {
      // Connecting everybody in turn would use up the minute's calls.
      if (!hasRecoveryToday(await this.truth(person))) continue;
      const user = `${name}-${index}`;
      await this.connect(user, person);
      if ((await this.day(user)).recovery?.score) return user;
    }
    throw new Error('nobody has a recovery today');
  }

  // ---- the simulator

  sim(method, path, body) {
    return json(method, `${this.simulator}/_sim/${path}`, body);
  }

  faults(list) {
    return list.length ? this.sim('POST', 'faults', list) : this.sim('DELETE', 'faults');
  }

  truth(person) {
    return this.sim('GET', `truth?whoop_user_id=${person}`);
  }

  people() {
    return this.sim('GET', 'people');
  }

  edit(person, data_type, id, merge) {
    return this.sim('POST', 'edit', { whoop_user_id: person, data_type, op: 'patch', id, merge });
  }

  /** Calls that WHOOP was asked so far, all kinds together. */
  async calls() {
    const { totals } = await this.sim('GET', 'calls');
    return totals;
  }
}
