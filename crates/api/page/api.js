// Requests to this server's API with the token of the signed-in member.

import { session } from './session.js';

/** An error response of the API: application/problem+json. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? `status ${status}`);
    this.status = status;
    this.type = String(body.type ?? '').split(/[:/]/).pop();
    this.retryAfter = retryAfter;
    /** With status 410: the newest sequence number of the change feed. */
    this.latest = body.latest;
  }
}

/** No response: there is no network, or the server does not answer. */
export class Unreachable extends Error {}

/** Timeout of a request; longer than the API takes for a day that it reads from WHOOP. */
const TIMEOUT_MS = 40_000;

export function address(route, rest = '') {
  return `/api/v1/whoop/${route}/${encodeURIComponent(session.user)}${rest}`;
}

async function send(method, url, { body, signal } = {}) {
  const headers = { authorization: `Bearer ${session.token}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      // The page stores data itself, separately for each member (kept.js).
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(error.message);
  }
  return response;
}

/** Returns the JSON of a successful response. Throws `Problem` or `Unreachable`. */
async function requestJson(method, url, options) {
  const response = await send(method, url, options);
  if (!response.ok) throw await problemOf(response);
  try {
    return await response.json();
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw new Unreachable('the response was cut off');
  }
}

export async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // The response may come from a proxy; then only the status is known.
  }
  return new Problem(response.status, body, Number(response.headers.get('retry-after')) || null);
}

const get = (route, rest, options) => requestJson('GET', address(route, rest), options);

export const api = {
  /** `refresh`: `never` reads only the database, `auto` also calls WHOOP if the stored data is stale. */
  day: (date, refresh, signal) =>
    get('daily-data', `?refresh=${refresh}${date ? `&date=${date}` : ''}`, { signal }),
  range: (from, to, signal) => get('range', `?from=${from}&to=${to}`, { signal }),
  changes: (since, limit, counted) =>
    get('changes', `?since=${since}&limit=${limit}${counted ? `&counted_since=${encodeURIComponent(counted)}` : ''}`),
  status: (signal) => get('sync-status', '', { signal }),
  connect: (returnTo) =>
    requestJson('POST', address('connect'), { body: { return_to: returnTo, consent: 'health-page-1' } }),
  confirm: (word) => requestJson('POST', address('connect', '/confirm'), { body: { confirm: word } }),
  disconnect: (erase) => requestJson('DELETE', address('connection', `?erase=${erase}`)),
};
