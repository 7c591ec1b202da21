// Confirms a connect for which the callback returned a one-time word (CONNECT_CONFIRM=required).
// The API accepts the word only from the member who began the connect.

import { api, Problem } from './api.js';

const CHANNEL = 'whoop-connect-confirm';

/** Milliseconds that a window without a token waits for a window that has it. */
const TIMEOUT_MS = 20_000;

/** Confirms the connect as the signed-in member. Returns the code of the error, or null. */
export async function confirm(word) {
  try {
    await api.confirm(word);
    return null;
  } catch (error) {
    return error instanceof Problem && error.type ? error.type.replaceAll('-', '_') : 'not_confirmed';
  }
}

/** In a window with a token: confirms connects for windows without a token. */
export function confirmForOtherWindows(isSignedIn) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener('message', async ({ data }) => {
    if (typeof data?.word !== 'string' || !isSignedIn()) return;
    channel.postMessage({ of: data.word, error: await confirm(data.word) });
  });
}

/** In the window in which WHOOP was opened, which has no token: asks a window with a token to confirm. */
export function confirmInOtherWindow(word) {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(CHANNEL);
    const end = (error) => {
      clearTimeout(timer);
      channel.close();
      resolve(error);
    };
    const timer = setTimeout(end, TIMEOUT_MS, 'not_confirmed');
    channel.addEventListener('message', ({ data }) => {
      // With several windows, one confirms it, and for the others the word is already used.
      if (data?.of === word && data.error !== 'unknown_confirm') end(data.error);
    });
    channel.postMessage({ word });
  });
}
