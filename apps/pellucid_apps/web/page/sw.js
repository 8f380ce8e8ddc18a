// Offline: what was loaded once is kept under its name, which has the content's hash in it, and
// served from there. Also gives a page whose server sends no such headers the isolation that
// threads need, from its second visit on.

const VERSION = "dev"; // written by `pellucid web`
const SHELL = ["./"]; // so is this

const CACHE = `pellucid-${VERSION}`;

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)));
});

addEventListener("activate", (event) => event.waitUntil(takeOver()));

// A file whose name did not change is the same file: take it over from the last version.
async function takeOver() {
  const cache = await caches.open(CACHE);
  for (const name of await caches.keys()) {
    if (!name.startsWith("pellucid-") || name === CACHE) continue;
    const old = await caches.open(name);
    for (const request of await old.keys())
      if (isHashed(request.url) && !(await cache.match(request)))
        await cache.put(request, await old.match(request));
    await caches.delete(name);
  }
  await clients.claim();
}

const isHashed = (url) => /\.[0-9a-f]{10}\.[a-z.]+$/.test(url);

// Large files that were loaded before this worker was there.
addEventListener("message", ({ data }) => {
  if (data.type !== "keep") return;
  caches.open(CACHE).then(async (cache) => {
    for (const url of data.urls) if (!(await cache.match(url))) await cache.add(url).catch(() => {});
  });
});

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  // Pages are asked for anew, so that a new version is seen; files by hash never change.
  if (kept && isHashed(request.url)) return isolated(kept);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) await cache.put(request, fresh.clone());
    return isolated(fresh);
  } catch (error) {
    if (kept) return isolated(kept);
    throw error;
  }
}

function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  const { body, status, statusText } = response;
  return new Response(body, { status, statusText, headers });
}
