// Starts the whole system on this machine without members, and controls it.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const DEMO = process.env.DEMO ?? fileURLToPath(new URL('../../../target/debug/demo', import.meta.url));

/**
 * Hours by which all clocks of the test are ahead of this machine's, from the variable AHEAD,
 * because a member's day depends on the hour. libfaketime shifts the clocks of the programs, and a
 * replaced Date that of the browser.
 */
export const AHEAD = Number(process.env.AHEAD ?? 0);

const FAKETIME_VARIABLES = AHEAD && {
  LD_PRELOAD: '/usr/$LIB/faketime/libfaketimeMT.so.1',
  FAKETIME: `${AHEAD < 0 ? '' : '+'}${AHEAD}h`,
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
};

/** The time of the test in milliseconds. */
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

/** Starts the system. `environment` has variables for the API. */
export async function startTestEnv(environment = {}) {
  const child = spawn(DEMO, ['--nobody', '--people', '12', '--api-port', '18080', '--sim-port', '18090'], {
    env: { ...process.env, ...FAKETIME_VARIABLES, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  const firstLine = await Promise.race([
    new Promise((resolve) => lines.once('line', resolve)),
    ended.then((code) => {
      throw new Error(`the demo ended with exit code ${code}`);
    }),
  ]);
  return new TestEnv(JSON.parse(firstLine), child, ended);
}

/** Whether the night that ended on the person's today has its recovery. */
function hasRecoveryToday({ sleeps, recoveries }) {
  const dateAt = (millis, offset) => {
    const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(offset) ?? [0, '+', 0, 0];
    const east = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1);
    return new Date(millis + east * 60_000).toISOString().slice(0, 10);
  };
  const scoredSleeps = new Set(recoveries.filter((recovery) => recovery.score_state === 'SCORED').map((recovery) => recovery.sleep_id));
  return sleeps.some((sleep) => !sleep.nap && scoredSleeps.has(sleep.id)
    && dateAt(Date.parse(sleep.end), sleep.timezone_offset) === dateAt(now(), sleep.timezone_offset));
}

class TestEnv {
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

  /** A member's JWT, like one that the app's sign-in issues. */
  token(user, seconds = 3600) {
    const claims = { sub: user, aud: 'authenticated', exp: Math.floor(now() / 1000) + seconds };
    const message = `${base64(JSON.stringify({ alg: 'HS256', typ: 'JWT' }))}.${base64(JSON.stringify(claims))}`;
    return `${message}.${createHmac('sha256', this.secret).update(message).digest('base64url')}`;
  }

  page(user, query = '') {
    return `${this.api}/${query}#token=${this.token(user)}`;
  }

  /** Sends a request to the API with the service key. */
  request(method, path, body) {
    return json(method, this.api + path, body, { authorization: `Bearer ${this.serviceKey}` });
  }

  day(user, parameters = '') {
    return this.request('GET', `/api/v1/whoop/daily-data/${user}?refresh=never${parameters}`);
  }

  /** Connects a member without a browser, optionally without one scope, and waits for the first sync. */
  async connect(user, person, deniedScope = null) {
    const { authorization_url: page } = await this.request('POST', `/api/v1/whoop/connect/${user}`, {});
    const form = new URLSearchParams([...new URL(page).searchParams, ['person', person], ['decision', 'allow']]);
    form.set('scope', form.get('scope').split(' ').filter((scope) => scope !== deniedScope).join(' '));
    const consented = await fetch(page.split('?')[0], { method: 'POST', body: form, redirect: 'manual' });
    const callback = await fetch(consented.headers.get('location'));
    if (!callback.ok) throw new Error(`the callback returned status ${callback.status}: ${await callback.text()}`);
    const isRead = ({ syncing, data_types }) => !syncing && Object.values(data_types).every(({ sync_status: status }) => ['success', 'not_granted'].includes(status));
    while (!isRead(await this.request('GET', `/api/v1/whoop/sync-status/${user}`)));
  }

  /** Connects a person who has a recovery today, and returns the member. At every hour there is such a person in some time zone. */
  async memberWithRecoveryToday(name) {
    const { people } = await this.people();
    for (const [index, { whoop_user_id: person }] of people.entries()) {
      // To connect all people until one matches would use up the minute window.
      if (!hasRecoveryToday(await this.truth(person))) continue;
      const user = `${name}-${index}`;
      await this.connect(user, person);
      if ((await this.day(user)).recovery?.score) return user;
    }
    throw new Error('no person has a recovery today');
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

  /** The number of requests that the simulator has received so far. */
  async calls() {
    const { totals } = await this.sim('GET', 'calls');
    return totals;
  }
}
