// The API of this server, as the member who is signed in.

import { session } from './session.js';

/** An answer that is an error: application/problem+json. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? `status ${status}`);
    this.status = status;
    this.type = String(body.type ?? '').split(/[:/]/).pop();
    this.retryAfter = retryAfter;
    /** Of a 410: where the changes stand. */
    this.latest = body.latest;
  }
}

/** No answer at all: no network, or no server. */
export class Away extends Error {}

/** Longer than a day that asks WHOOP may take. */
const PATIENCE = 40_000;

export function address(route, rest = '') {
  return `/api/v1/whoop/${route}/${encodeURIComponent(session.user)}${rest}`;
}

async function send(method, url, { body, signal } = {}) {
  const headers = { authorization: `Bearer ${session.token}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const timeout = AbortSignal.timeout(PATIENCE);
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      // What is kept for later is kept by member, elsewhere.
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Away(error.message);
  }
  return response;
}

/** The JSON of a good answer. Throws a Problem or Away. */
async function ask(method, url, options) {
  const response = await send(method, url, options);
  if (!response.ok) throw await problemOf(response);
  try {
    return await response.json();
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw new Away('the answer broke off');
  }
}

export async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy in between, perhaps; the status says enough.
  }
  return new Problem(response.status, body, Number(response.headers.get('retry-after')) || null);
}

const get = (route, rest, options) => ask('GET', address(route, rest), options);

export const api = {
  /** `refresh`: `never` answers in milliseconds, `auto` asks WHOOP where that is due. */
  day: (date, refresh, signal) =>
    get('daily-data', `?refresh=${refresh}${date ? `&date=${date}` : ''}`, { signal }),
  range: (from, to, signal) => get('range', `?from=${from}&to=${to}`, { signal }),
  changes: (since, limit, counted) =>
    get('changes', `?since=${since}&limit=${limit}${counted ? `&counted_since=${encodeURIComponent(counted)}` : ''}`),
  status: (signal) => get('sync-status', '', { signal }),
  connect: (returnTo) =>
    ask('POST', address('connect'), { body: { return_to: returnTo, consent: 'health-page-1' } }),
  confirm: (word) => ask('POST', address('connect', '/confirm'), { body: { confirm: word } }),
  disconnect: (erase) => ask('DELETE', address('connection', `?erase=${erase}`)),
};
