// The queue in front of the worker: one photo at a time, cancelled at once, nothing lost with it.

const PATIENCE = 1500; // ms for a tile to end before a cancelled worker is ended instead

const isPhone = /iPhone|iPad|Android/.test(navigator.userAgent) || (navigator.maxTouchPoints > 1 && /Mac/.test(navigator.platform));
const isApple = isPhone && !/Android/.test(navigator.userAgent);

// As many as leave the device usable; one on iOS, where threads run out of memory.
function threads() {
  if (!crossOriginIsolated || isApple) return 1;
  const cores = navigator.hardwareConcurrency || 1;
  return cores <= 2 ? cores : Math.min(4, Math.floor(cores / 2));
}

export class Work {
  // changed(photo) after every change; name(text) of the engine.
  constructor(query, changed, name) {
    Object.assign(this, { changed, name, queue: [], calls: new Map(), number: 0 });
    this.options = {
      engine: query.get("engine") ?? "auto",
      threads: Number(query.get("threads")) || threads(),
      small: isPhone,
      quick: query.has("quick"), // check a GPU with the small picture only
      windowPixels: Number(query.get("window")),
    };
    this.megapixels = isApple ? 16 : 50; // the largest canvas there
    this.#start();
  }

  // first: before those that wait, because somebody looks at it.
  restore(photo, settings, first = false) {
    if (this.current?.photo === photo) this.cancel(photo);
    this.queue = this.queue.filter((job) => job.photo !== photo);
    this.queue[first ? "unshift" : "push"]({ photo, settings });
    Object.assign(photo, { state: "queued", share: 0, trouble: "" });
    this.changed(photo);
    this.#next();
  }

  cancel(photo) {
    this.queue = this.queue.filter((job) => job.photo !== photo);
    if (this.current?.photo === photo) {
      const { current } = this;
      this.worker.postMessage({ type: "cancel", id: photo.id });
      setTimeout(() => this.current === current && this.#restart(), PATIENCE);
      current.cancelled = true;
    }
    Object.assign(photo, { state: photo.result ? "done" : "cancelled", trouble: photo.result ? "" : "Cancelled" });
    this.changed(photo);
  }

  forget(photo) {
    if (photo.busy) this.cancel(photo);
    this.worker.postMessage({ type: "forget", id: photo.id });
  }

  // The result at another strength than the whole.
  async encoded(photo, strength, settings) {
    if (strength === 1) return photo.blob;
    const { blob } = await this.#ask({ type: "encode", id: photo.id, strength });
    if (blob) return blob;
    this.restore(photo, settings, true); // its pixels made room for others'
    await new Promise((resolve) => (photo.settled = resolve));
    return photo.state === "done" ? this.encoded(photo, strength, settings) : null;
  }

  phase(photo) {
    if (photo.state === "queued") return "Waiting for its turn";
    return this.ready ? "Restoring" : "Loading the engine, once";
  }

  async #next() {
    if (this.current || !this.queue.length) return;
    const job = (this.current = this.queue.shift());
    const { photo, settings } = job;
    photo.state = "busy";
    this.changed(photo);
    try {
      await this.started;
      const { file, id, amounts } = photo;
      const result = await this.#ask({ type: "restore", id, file, amounts, megapixels: this.megapixels, ...settings });
      this.ready = true;
      this.name(result.engine);
      this.#keepOffline(result.loaded);
      if (!job.cancelled) photo.finish(result);
    } catch (error) {
      if (!job.cancelled) Object.assign(photo, { state: "failed", trouble: `${photo.file.name}: ${error.message}` });
    }
    if (this.current === job) this.current = null;
    this.changed(photo);
    photo.settled?.();
    this.#next();
  }

  #start() {
    this.worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.#hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(event.message || "the worker did not start; reload the page"));
    };
    this.name("Loading the engine …");
    this.started = this.#ask({ type: "start", options: this.options });
    this.started.then(
      ({ engine }) => this.name(engine),
      (error) => this.name(error.message),
    );
  }

  // Ends a worker in the middle of a long tile; the other photos' results are safe here.
  #restart() {
    this.worker.terminate();
    this.ready = false;
    this.#fail(new Error("cancelled"));
    this.#start();
  }

  #fail(error) {
    const waiting = [...this.calls.values()];
    this.calls.clear();
    for (const { reject } of waiting) reject(error);
  }

  #ask(message) {
    return new Promise((resolve, reject) => {
      const call = ++this.number;
      this.calls.set(call, { resolve, reject });
      this.worker.postMessage({ ...message, call });
    });
  }

  #hear(data) {
    if (data.type === "progress") {
      const photo = this.current?.photo;
      if (photo?.id !== data.id || this.current.cancelled) return;
      photo.share = data.share;
      this.ready ||= data.share > 0;
      return this.changed(photo);
    }
    const waiting = this.calls.get(data.call);
    this.calls.delete(data.call);
    if (data.type === "done") waiting?.resolve(data);
    else waiting?.reject(new Error(data.message));
  }

  // What was loaded before the service worker was there is what the next visit needs offline.
  async #keepOffline(byWorker) {
    const registration = await navigator.serviceWorker?.ready;
    const byPage = performance.getEntriesByType("resource").map((entry) => entry.name);
    const urls = [...new Set([...byPage, ...byWorker])].filter((url) => url.startsWith(location.origin));
    registration?.active?.postMessage({ type: "keep", urls });
  }
}
