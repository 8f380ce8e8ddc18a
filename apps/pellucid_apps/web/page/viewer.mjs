// Before and after in one frame: a divider, zoom and pan, by mouse, touch and keyboard.

const MOST_ZOOM = 16; // screen pixels a picture pixel
const STEP = 1.4;

export class Viewer {
  constructor(parts) {
    Object.assign(this, parts); // stage, canvas, before, after, handle, tags, buttons
    this.cut = 0.5;
    this.scale = 1;
    this.x = this.y = 0;
    this.pointers = new Map();
    const { stage, handle } = this;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"])
      stage.addEventListener(end, (event) => this.#up(event));
    stage.addEventListener("dblclick", (event) => {
      if (this.#isControl(event)) return;
      this.zoomTo(this.scale > this.#fit() * 1.01 ? this.#fit() : 1 / devicePixelRatio, event);
    });
    stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoomTo(this.scale * Math.exp(-event.deltaY / 400), event);
      },
      { passive: false },
    );
    handle.addEventListener("keydown", (event) => this.#key(event));
    this.buttons.in.onclick = () => this.zoomTo(this.scale * STEP);
    this.buttons.out.onclick = () => this.zoomTo(this.scale / STEP);
    this.buttons.fit.onclick = () => this.zoomTo(this.#fit());
    this.before.onload = () => this.reset();
    new ResizeObserver(() => (this.fitted ? this.reset() : this.#draw())).observe(stage);
  }

  // Show a photo: urls of before and, once there is one, after.
  show(before, after) {
    const another = this.shown !== before;
    this.shown = before;
    if (another) this.before.src = before;
    this.after.hidden = this.handle.hidden = !after;
    for (const tag of this.tags) tag.hidden = !after;
    if (after) this.after.src = after;
    else this.after.removeAttribute("src");
  }

  reset() {
    this.scale = this.#fit();
    this.x = this.y = 0;
    this.#draw();
  }

  zoomTo(scale, at) {
    const box = this.stage.getBoundingClientRect();
    const [px, py] = at ? [at.clientX - box.left, at.clientY - box.top] : [box.width / 2, box.height / 2];
    const next = Math.min(Math.max(scale, this.#fit()), Math.max(MOST_ZOOM, this.#fit()));
    this.x = px - ((px - this.x) * next) / this.scale;
    this.y = py - ((py - this.y) * next) / this.scale;
    this.scale = next;
    this.#draw();
  }

  #size() {
    return [this.before.naturalWidth || 1, this.before.naturalHeight || 1];
  }

  #fit() {
    const [width, height] = this.#size();
    return Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
  }

  #draw() {
    const [width, height] = this.#size().map((side) => side * this.scale);
    const inside = (at, length, room) =>
      length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, at));
    this.x = inside(this.x, width, this.stage.clientWidth);
    this.y = inside(this.y, height, this.stage.clientHeight);
    this.fitted = this.scale <= this.#fit() * 1.01;
    this.stage.classList.toggle("zoomed", !this.fitted);
    this.canvas.classList.toggle("sharp", this.scale * devicePixelRatio >= 3);
    Object.assign(this.canvas.style, {
      width: `${width}px`,
      height: `${height}px`,
      transform: `translate(${this.x}px, ${this.y}px)`,
    });
    this.buttons.fit.textContent = this.fitted ? "Fit" : `${Math.round(100 * this.scale * devicePixelRatio)} %`;
    this.#divide();
  }

  // The divider stays where it is on the screen while the photo moves under it.
  #divide() {
    const width = this.stage.clientWidth;
    const [left, right] = [Math.max(0, this.x), Math.min(width, this.x + this.canvas.clientWidth)];
    const at = left + this.cut * (right - left);
    const share = (at - this.x) / (this.canvas.clientWidth || 1);
    this.handle.style.left = `${at}px`;
    this.canvas.style.setProperty("--cut", `${100 * share}%`);
    this.handle.setAttribute("aria-valuenow", Math.round(100 * this.cut));
    this.handle.setAttribute("aria-valuetext", `${Math.round(100 * this.cut)} % before`);
    this.tags[0].style.opacity = this.cut > 0.12 ? 1 : 0;
    this.tags[1].style.opacity = this.cut < 0.88 ? 1 : 0;
  }

  #cutAt(clientX) {
    const box = this.stage.getBoundingClientRect();
    const left = Math.max(0, this.x);
    const right = Math.min(box.width, this.x + this.canvas.clientWidth);
    this.cut = Math.min(1, Math.max(0, (clientX - box.left - left) / (right - left || 1)));
    this.#divide();
  }

  #isControl(event) {
    return event.target.closest("button, .busy, .trouble");
  }

  #down(event) {
    if (this.#isControl(event) || event.button > 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    const onHandle = event.target.closest(".handle");
    if (onHandle) this.handle.focus({ focusVisible: false });
    this.dragging = onHandle || this.fitted ? "cut" : "pan";
    if (this.dragging === "cut" && this.pointers.size === 1) this.#cutAt(event.clientX);
  }

  #move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    if (this.pointers.size === 2) {
      const other = [...this.pointers.values()].find((p) => p.pointerId !== event.pointerId);
      const gap = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
      const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
      this.zoomTo((this.scale * gap(event)) / gap(last), middle);
      this.dragging = "pan";
    } else if (this.dragging === "cut") {
      this.#cutAt(event.clientX);
    } else {
      this.x += event.clientX - last.clientX;
      this.y += event.clientY - last.clientY;
      this.#draw();
    }
    this.pointers.set(event.pointerId, event);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
  }

  #key(event) {
    const steps = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
    if (event.key in steps) {
      this.cut = Math.min(1, Math.max(0, this.cut + steps[event.key]));
      this.#divide();
    } else if (event.key === "+" || event.key === "=") this.zoomTo(this.scale * STEP);
    else if (event.key === "-") this.zoomTo(this.scale / STEP);
    else if (event.key === "0") this.zoomTo(this.#fit());
    else return;
    event.preventDefault();
  }
}
