// Opens the page without a network. Data is not kept here but by the page, by member.

// The page's files and a name for this build of them.
importScripts('/page/files.js');

const SHELL = '/';
const CACHE = `page-${self.PAGE.build}`;
const FILES = Object.keys(self.PAGE.files);

/** A file as it is in this build; throws if a server of another build answered. */
async function take(url, tag) {
  const response = await fetch(new Request(url, { cache: 'reload' }));
  const digest = await crypto.subtle.digest('SHA-256', await response.clone().arrayBuffer());
  const found = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (!response.ok || !found.startsWith(tag)) throw new Error(`${url} is not of this build`);
  return [url, response];
}

self.addEventListener('install', (event) => {
  // Where the browser can, it takes the files out of the cache without waking this up.
  event.addRoutes?.(FILES.map((pathname) => ({
    condition: { urlPattern: { pathname } },
    source: { cacheName: CACHE },
  }))).catch(() => {});
  event.waitUntil((async () => {
    // All of one build, or none: the browser tries again, and the old one stays meanwhile.
    const taken = await Promise.all([take(SHELL, self.PAGE.shell), ...FILES.map((url) => take(url, self.PAGE.files[url]))]);
    const cache = await caches.open(CACHE);
    await Promise.all(taken.map(([url, response]) => cache.put(url, response)));
    await self.skipWaiting();
  })());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    const others = (await caches.keys()).filter((name) => name.startsWith('page-') && name !== CACHE);
    await Promise.all(others.map((name) => caches.delete(name)));
    await self.clients.claim();
  })());
});

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  const isShell = event.request.mode === 'navigate' && url.pathname === SHELL;
  const isOurs = url.origin === location.origin && (isShell || FILES.includes(url.pathname));
  if (event.request.method !== 'GET' || !isOurs) return;
  event.respondWith((async () => {
    const found = await caches.match(isShell ? SHELL : url.pathname, { cacheName: CACHE });
    return found ?? fetch(event.request);
  })());
});
