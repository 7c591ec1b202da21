// Receives the member's server-sent events.
//
// It uses fetch, because the browser's EventSource cannot send a token.

import { address, problemOf } from './api.js';
import { session } from './session.js';

const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Timeout for a stream without data: more than twice the server's interval of keep-alive comments. */
const SILENCE_TIMEOUT_MS = 35_000;
/** A stream that was open for longer than this was not closed because the member has too many streams. */
const STABLE_AFTER_MS = 10_000;

/** Yields the events of a stream. */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      let timer;
      const silence = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('no data before the timeout')), SILENCE_TIMEOUT_MS);
      });
      const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
      if (done) return;
      text += value;
      let end;
      while ((end = text.indexOf('\n\n')) >= 0) {
        const fields = Object.fromEntries(
          text.slice(0, end).split('\n').map((line) => {
            const colon = line.indexOf(':');
            return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
          }),
        );
        text = text.slice(end + 2);
        if (fields.event) yield { name: fields.event, id: fields.id, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Receives events until the signal is aborted, and connects again after errors. Calls the handlers
 * `opened`, `unreachable` and `refused`, and those of the events: `day`, `connection`, `reset`.
 */
export async function followEvents(signal, handlers) {
  let lastEventId = null;
  let pause = MIN_RETRY_MS;
  while (!signal.aborted) {
    let hasResponse = false;
    let openedAt = null;
    try {
      const headers = { authorization: `Bearer ${session.token}` };
      if (lastEventId !== null) headers['last-event-id'] = lastEventId;
      const response = await fetch(address('events'), { headers, cache: 'no-store', signal });
      hasResponse = true;
      if (!response.ok) {
        const problem = await problemOf(response);
        if (problem.status === 401 || problem.status === 403) return handlers.refused(problem);
        throw problem;
      }
      openedAt = performance.now();
      handlers.opened();
      for await (const event of readEvents(response.body)) {
        lastEventId = event.id ?? lastEventId;
        handlers[event.name]?.(event.data);
      }
    } catch {
      if (signal.aborted) return;
      // A stream that broke off does not mean that the server is unreachable: a proxy may have
      // closed it. The next attempt shows this.
      if (!hasResponse) handlers.unreachable();
    }
    // The server limits the streams per member and closes the oldest. A stream that ends soon may
    // have been closed for this reason, so the pause is reset only after a longer time.
    if (openedAt !== null && performance.now() - openedAt > STABLE_AFTER_MS) pause = MIN_RETRY_MS;
    await new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        removeEventListener('online', wake);
        resolve();
      };
      const timer = setTimeout(wake, pause * (0.75 + Math.random() / 2));
      addEventListener('online', wake);
      signal.addEventListener('abort', wake, { once: true });
    });
    pause = Math.min(pause * 2, MAX_RETRY_MS);
  }
}
