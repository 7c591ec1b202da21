// Opens the page without a network. Data is not kept here but by the page, by member.

// The page's files and a name for this build of them.
importScripts('/page/files.js');

const SHELL = '/';
const CACHE = `page-${self.PAGE.build}`;

self.addEventListener('install', (event) => {
  // Where the browser can, it takes the files out of the cache without waking this up.
  event.addRoutes?.(self.PAGE.files.map((pathname) => ({
    condition: { urlPattern: { pathname } },
    source: { cacheName: CACHE },
  }))).catch(() => {});
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll([SHELL, ...self.PAGE.files].map((url) => new Request(url, { cache: 'reload' })));
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
  const isOurs = url.origin === location.origin && (isShell || self.PAGE.files.includes(url.pathname));
  if (event.request.method !== 'GET' || !isOurs) return;
  event.respondWith((async () => {
    // All of one build, or the network: two builds do not mix.
    const found = await caches.match(isShell ? SHELL : url.pathname, { cacheName: CACHE });
    return found ?? fetch(event.request);
  })());
});
