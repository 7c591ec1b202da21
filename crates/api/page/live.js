// What happens to the member's days, as it happens: server-sent events.
//
// Read with fetch, because the browser's own EventSource cannot send a token.

import { address, problemOf } from './api.js';
import { session } from './session.js';

const SOONEST = 1_000;
const LATEST = 30_000;
/** Twice the server's sign of life. */
const SILENCE = 35_000;
/** A stream that was open for so long was no quarrel over the last place. */
const LASTED = 10_000;

/** The events of a stream, as they come. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      let timer;
      const silence = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('silence')), SILENCE);
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

/** Follows until the signal; tells `up`, `down`, `refused`, `day`, `connection`, `reset`. */
export async function follow(signal, tell) {
  let last = null;
  let pause = SOONEST;
  while (!signal.aborted) {
    let answered = false;
    let opened = null;
    try {
      const headers = { authorization: `Bearer ${session.token}` };
      if (last !== null) headers['last-event-id'] = last;
      const response = await fetch(address('events'), { headers, cache: 'no-store', signal });
      answered = true;
      if (!response.ok) {
        const problem = await problemOf(response);
        if (problem.status === 401 || problem.status === 403) return tell.refused(problem);
        throw problem;
      }
      opened = performance.now();
      tell.up();
      for await (const event of events(response.body)) {
        last = event.id ?? last;
        tell[event.name]?.(event.data);
      }
    } catch {
      if (signal.aborted) return;
      // One that broke is opened again first; a proxy ends them too.
      if (!answered) tell.down();
    }
    // One that soon ends again may have been ended for another's sake: of a member's
    // streams the server keeps only so many.
    if (opened !== null && performance.now() - opened > LASTED) pause = SOONEST;
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
    pause = Math.min(pause * 2, LATEST);
  }
}
