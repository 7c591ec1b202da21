// Who looks: the member's JWT, handed over in the address's fragment.
//
// The fragment never leaves the browser, and is taken out of the address at once. The
// token lives in this page's memory; the app hands it over again after a reload. On a
// developer's own machine the tab keeps it, so that a reload and the way over WHOOP's
// pages do not lose it.

import { tab } from './storage.js';

const KEY = 'health-token';
const onOwnMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

let token = null;

/** What a JWT says; null for what is none. Its signature is the API's to check. */
function claimsOf(jwt) {
  try {
    const bytes = atob(jwt.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
    const claims = JSON.parse(text);
    return typeof claims.sub === 'string' && claims.sub ? claims : null;
  } catch {
    return null;
  }
}

const handedOver = () => new URLSearchParams(location.hash.slice(1)).get('token');

function take() {
  const handed = handedOver();
  if (!handed) return false;
  history.replaceState(history.state, '', location.pathname + location.search);
  // What is no token at all says nothing of who is signed in.
  if (!claimsOf(handed)) return false;
  token = handed;
  if (onOwnMachine) tab.set(KEY, handed);
  return true;
}

export const session = {
  /** Whether a token outlives a reload here. */
  lasting: onOwnMachine,
  get token() {
    return token;
  },
  get user() {
    return token && (claimsOf(token)?.sub ?? null);
  },
  /** By what a person knows whose page this is: a link can hand over anybody's token. */
  get name() {
    const claims = token && claimsOf(token);
    return claims && (typeof claims.email === 'string' && claims.email ? claims.email : claims.sub);
  },
  begin() {
    if (!take() && onOwnMachine) token = tab.get(KEY);
  },
  end() {
    token = null;
    tab.remove(KEY);
  },
  /** The app may hand over a newer token at any time: `location.hash = '#token=…'`. */
  onHandedOver(then) {
    addEventListener('hashchange', () => take() && then());
  },
};
