// One photo on the page, from its file to its result.
import { ASKED, FOUND } from "./amounts.mjs";

const MARKS = { queued: "·", busy: "…", done: "✓", failed: "!", cancelled: "×" };
let count = 0;

export class Photo {
  constructor(file) {
    this.id = ++count;
    this.file = file;
    this.url = URL.createObjectURL(file);
    this.state = "queued";
    this.share = 0;
    this.trouble = "";
    this.amounts = {}; // chosen by hand, name -> 0..1
    this.button = document.createElement("button");
    this.button.type = "button";
    const picture = document.createElement("img");
    Object.assign(picture, { src: this.url, alt: "", loading: "lazy", decoding: "async" });
    this.mark = document.createElement("span");
    this.mark.className = "mark";
    this.button.append(picture, this.mark);
    this.drawMark();
  }

  get busy() {
    return this.state === "queued" || this.state === "busy";
  }

  drawMark() {
    this.mark.dataset.state = this.state;
    this.mark.textContent = MARKS[this.state];
    this.button.setAttribute("aria-label", `${this.file.name}, ${this.trouble || this.state}`);
  }

  // What the worker gave back.
  finish(result) {
    if (this.resultUrl) URL.revokeObjectURL(this.resultUrl);
    this.resultUrl = URL.createObjectURL(result.blob);
    Object.assign(this, { blob: result.blob, result, state: "done", trouble: "", found: result.found });
  }

  facts() {
    if (!this.result) return this.file.name;
    const { width, height, ms, engine, model, steps, notes, left, found } = this.result;
    const none = Object.values(found).every((amount) => amount < FOUND);
    const nothing = left ? [none ? "nothing found, left as it is" : "left as it is"] : [];
    const time = ms < 950 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
    const many = steps > 1 ? `, ${steps} steps` : "";
    return [`${width} × ${height}`, `${model}${many}`, time, engine, ...nothing, ...notes].join(" · ");
  }

  // Whether a degradation is restored: found, or asked for by hand.
  fixes(name) {
    return (this.amounts[name] ?? this.found[name]) >= FOUND;
  }

  // As if it were there, at least plainly; or as if it were not.
  choose(name, wanted) {
    this.amounts[name] = wanted ? Math.max(this.found[name], ASKED) : 0;
  }

  foundKey() {
    return `${this.id} ${JSON.stringify(this.found)}`;
  }

  release() {
    for (const url of [this.url, this.resultUrl]) if (url) URL.revokeObjectURL(url);
  }
}

// rain.png, image/jpeg -> rain-restored.jpg
export function fileName(name, type) {
  const suffix = type === "image/png" ? "png" : "jpg";
  return `${name.replace(/\.[^.]*$/, "") || "photo"}-restored.${suffix}`;
}
