// The session: the member's JWT, which the app passes in the fragment of the address.
//
// The browser never sends the fragment to a server, and the page removes it from the address at
// once. The token is only in the page's memory, so the app passes it again after a reload. On a
// developer's own machine the tab stores it, so that it survives a reload and WHOOP's pages.

import { tabStorage } from './storage.js';

const KEY = 'health-token';
const onOwnMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

let token = null;

/** The claims of a JWT, or null if the text is not a JWT. Only the API checks the signature. */
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

const tokenInAddress = () => new URLSearchParams(location.hash.slice(1)).get('token');

/** Moves the token from the address into the session. Returns whether there was a valid JWT. */
function takeTokenFromAddress() {
  const passed = tokenInAddress();
  if (!passed) return false;
  history.replaceState(history.state, '', location.pathname + location.search);
  // A text that is not a JWT does not replace the session.
  if (!claimsOf(passed)) return false;
  token = passed;
  if (onOwnMachine) tabStorage.set(KEY, passed);
  return true;
}

export const session = {
  /** Whether the token survives a reload of the page. */
  survivesReload: onOwnMachine,
  get token() {
    return token;
  },
  get user() {
    return token && (claimsOf(token)?.sub ?? null);
  },
  /** The name by which a person recognizes whose page this is, because a link can contain any person's token. */
  get name() {
    const claims = token && claimsOf(token);
    return claims && (typeof claims.email === 'string' && claims.email ? claims.email : claims.sub);
  },
  start() {
    if (!takeTokenFromAddress() && onOwnMachine) token = tabStorage.get(KEY);
  },
  end() {
    token = null;
    tabStorage.remove(KEY);
  },
  /** Calls `listener` when the app passes a newer token: `location.hash = '#token=…'`. */
  onNewToken(listener) {
    addEventListener('hashchange', () => takeTokenFromAddress() && listener());
  },
};
