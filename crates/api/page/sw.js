// The service worker: stores the files of the page, so that it opens without a network. The page
// itself stores the data of each member.

// Sets self.PAGE: the page's files with their digests, and the name of this build.
importScripts('/page/files.js');

const SHELL = '/';
const CACHE = `page-${self.PAGE.build}`;
const FILES = Object.keys(self.PAGE.files);

/** Fetches a file of this build; throws if a server with another build answered. */
async function fetchFile(url, expectedDigest) {
  const response = await fetch(new Request(url, { cache: 'reload' }));
  const digest = await crypto.subtle.digest('SHA-256', await response.clone().arrayBuffer());
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (!response.ok || !hex.startsWith(expectedDigest)) throw new Error(`${url} is not from this build`);
  return [url, response];
}

self.addEventListener('install', (event) => {
  // Browsers that support static routes read the files from the cache without starting this worker.
  event.addRoutes?.(FILES.map((pathname) => ({
    condition: { urlPattern: { pathname } },
    source: { cacheName: CACHE },
  }))).catch(() => {});
  event.waitUntil((async () => {
    // Either all files of one build or none: after an error the browser keeps the old worker and
    // tries again later.
    const fetched = await Promise.all([fetchFile(SHELL, self.PAGE.shell), ...FILES.map((url) => fetchFile(url, self.PAGE.files[url]))]);
    const cache = await caches.open(CACHE);
    await Promise.all(fetched.map(([url, response]) => cache.put(url, response)));
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
  const isOwnFile = url.origin === location.origin && (isShell || FILES.includes(url.pathname));
  if (event.request.method !== 'GET' || !isOwnFile) return;
  event.respondWith((async () => {
    const cached = await caches.match(isShell ? SHELL : url.pathname, { cacheName: CACHE });
    return cached ?? fetch(event.request);
  })());
});
