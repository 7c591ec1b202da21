// Confirms a connect that came back with a one-time word (CONNECT_CONFIRM=required): only the
// member who is signed in here may be the one who began it.

import { api, Problem } from './api.js';

const CHANNEL = 'whoop-connect-confirm';

/** How long a window without a token waits for one that has it. */
const PATIENCE = 20_000;

/** Hands the word in as the member who is signed in. The word of the failure, or null. */
export async function confirm(word) {
  try {
    await api.confirm(word);
    return null;
  } catch (error) {
    return error instanceof Problem && error.type ? error.type.replaceAll('-', '_') : 'not_confirmed';
  }
}

/** In the window that has the token: confirms for the window that WHOOP was opened in. */
export function confirmForOthers(isSignedIn) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener('message', async ({ data }) => {
    if (typeof data?.word !== 'string' || !isSignedIn()) return;
    channel.postMessage({ of: data.word, error: await confirm(data.word) });
  });
}

/** In the window that WHOOP was opened in: has the word handed in by the one that has the token. */
export function confirmElsewhere(word) {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(CHANNEL);
    const end = (error) => {
      clearTimeout(timer);
      channel.close();
      resolve(error);
    };
    const timer = setTimeout(end, PATIENCE, 'not_confirmed');
    channel.addEventListener('message', ({ data }) => {
      // Of several windows one confirms it, and the others find it used.
      if (data?.of === word && data.error !== 'unknown_confirm') end(data.error);
    });
    channel.postMessage({ word });
  });
}
