// The page: photos come in, the worker restores one after another, results are shown and saved.
import { Camera } from "./camera.mjs";
import { fileName, Photo } from "./photos.mjs";
import { Viewer } from "./viewer.mjs";
import { Work } from "./work.mjs";

const $ = (id) => document.getElementById(id);
const photos = []; // in the order they came
let active = null;

const viewer = new Viewer({
  stage: $("stage"), canvas: $("canvas"), before: $("before"), after: $("after"), handle: $("handle"),
  tags: [$("tag-before"), $("tag-after")],
  buttons: { in: $("zoom-in"), out: $("zoom-out"), fit: $("zoom-fit") },
});
const work = new Work(new URLSearchParams(location.search), changed, (text) => ($("engine").textContent = text));
const camera = new Camera(
  { dialog: $("booth"), video: $("video"), shoot: $("shoot"), turn: $("turn"), leave: $("leave") },
  (file) => add([file]),
  tell,
);

const settings = () => ({
  model: document.querySelector("[name=model]:checked").value,
  steps: Number(document.querySelector("[name=steps]:checked").value),
});

// Files from anywhere. What is no picture is told once, with names; the rest goes on.
function add(files) {
  const all = [...files];
  const pictures = all.filter((file) => !file.type || file.type.startsWith("image/"));
  const others = all.filter((file) => !pictures.includes(file)).map((file) => file.name);
  if (others.length) tell(`${listed(others)}: not ${others.length > 1 ? "pictures" : "a picture"}`);
  if (!pictures.length) return;
  const made = pictures.map((file) => new Photo(file));
  photos.push(...made);
  for (const photo of made) drawThumb(photo);
  $("empty").hidden = true;
  $("work").hidden = $("panel").hidden = false;
  for (const photo of made) work.restore(photo, settings());
  show(made[0]);
  if (made.length > 1) tell(`${made.length} photos added; they are restored one after another`, 6000);
}

const listed = (names) =>
  names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");

function show(photo) {
  active = photo;
  for (const each of photos) each.button.setAttribute("aria-current", each === photo);
  photo.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  draw();
}

// A photo's state has changed.
function changed(photo) {
  if (!photos.includes(photo)) return;
  photo.drawMark();
  if (photo === active) draw();
  const [done, busy] = [photos.filter((p) => p.blob).length, photos.some((p) => p.busy)];
  $("save-all").hidden = done < 2;
  document.title = busy && photos.length > 1 ? `${done} of ${photos.length} · pellucid` : "pellucid";
}

function draw() {
  const photo = active;
  viewer.show(photo.url, photo.resultUrl);
  $("busy").hidden = !photo.busy;
  $("busy-text").textContent = work.phase(photo);
  $("progress").toggleAttribute("value", photo.share > 0);
  if (photo.share > 0) $("progress").value = photo.share;
  $("trouble").hidden = !photo.trouble;
  $("trouble-text").textContent = photo.trouble;
  $("save").disabled = !photo.blob;
  $("facts").textContent = photo.facts();
  drawFound(photo);
}

function drawFound(photo) {
  const entries = Object.entries(photo.found ?? {});
  $("found").hidden = !entries.length;
  if ($("found-list").dataset.of === photo.foundKey()) return;
  $("found-list").dataset.of = photo.foundKey();
  $("found-list").replaceChildren(...entries.map(([name, amount]) => {
    const label = document.createElement("label");
    const [text, value, box] = ["span", "output", "input"].map((tag) => document.createElement(tag));
    text.textContent = name;
    value.textContent = amount.toFixed(1);
    value.title = amount.toFixed(3);
    Object.assign(box, { type: "checkbox", checked: photo.fixes(name) });
    box.setAttribute("role", "switch");
    box.setAttribute("aria-label", `Fix ${name}, found ${amount.toFixed(1)}`);
    box.onchange = () => {
      photo.choose(name, box.checked);
      work.restore(photo, settings(), true);
    };
    label.append(text, value, box);
    return label;
  }));
}

function drawThumb(photo) {
  const item = document.createElement("li");
  const remove = document.createElement("button");
  Object.assign(remove, { type: "button", className: "remove", textContent: "×" });
  remove.setAttribute("aria-label", `Remove ${photo.file.name}`);
  remove.onclick = () => drop(photo);
  photo.button.onclick = () => show(photo);
  item.append(photo.button, remove);
  photo.item = item;
  $("photos").append(item);
}

function drop(photo) {
  const place = photos.indexOf(photo);
  photos.splice(place, 1);
  work.forget(photo);
  photo.item.remove();
  if (photos.length) {
    if (photo === active) show(photos[Math.min(place, photos.length - 1)]);
  } else {
    active = null;
    $("empty").hidden = false;
    $("work").hidden = $("panel").hidden = true;
  }
  photo.release();
}

// A line that stays until it is closed, so that nobody misses it; ms: or for that long.
function tell(text, ms) {
  const line = document.createElement("p");
  const [told, close] = [document.createElement("span"), document.createElement("button")];
  told.textContent = text;
  Object.assign(close, { type: "button", textContent: "OK", onclick: () => line.remove() });
  line.append(told, close);
  if (ms) setTimeout(() => line.remove(), ms);
  $("messages").replaceChildren(...[...$("messages").children].slice(-2), line);
}

async function save(photo) {
  const strength = Number($("strength").value) / 100;
  const blob = await work.encoded(photo, strength, settings());
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = fileName(photo.file.name, blob.type);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

$("choose").onclick = $("add").onclick = () => $("files").click();
$("files").onchange = () => {
  add($("files").files);
  $("files").value = ""; // so that the same file may be chosen again
};
$("camera").onclick = () => camera.open();
$("cancel").onclick = () => work.cancel(active);
$("again").onclick = () => work.restore(active, settings(), true);
$("save").onclick = () => save(active);
$("save-all").onclick = async () => {
  for (const photo of photos) if (photo.blob) await save(photo);
};
$("strength").oninput = () => {
  $("strength-told").textContent = `${$("strength").value} %`;
  $("canvas").style.setProperty("--strength", $("strength").value / 100);
};
for (const choice of document.querySelectorAll(".choices input"))
  choice.onchange = () => {
    const others = photos.filter((photo) => photo !== active && (photo.busy || photo.state === "done"));
    for (const photo of others) work.restore(photo, settings());
    if (active) work.restore(active, settings(), true);
  };
for (const sample of document.querySelectorAll("[data-sample]"))
  sample.onclick = async () => {
    const blob = await (await fetch(sample.querySelector("img").src)).blob();
    add([new File([blob], `${sample.textContent.trim().toLowerCase()}.jpg`, { type: "image/jpeg" })]);
  };
$("panel").onsubmit = (event) => event.preventDefault();

addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length) add(clipboardData.files);
  else tell("The clipboard holds no picture");
});
let depth = 0;
const isFiles = (event) => event.dataTransfer?.types.includes("Files");
const veil = (by) => ($("veil").hidden = (depth = Math.max(0, depth + by)) === 0);
addEventListener("dragenter", (event) => isFiles(event) && veil(1));
addEventListener("dragleave", (event) => isFiles(event) && veil(-1));
addEventListener("dragover", (event) => isFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!isFiles(event)) return;
  event.preventDefault();
  veil(-depth);
  add(event.dataTransfer.files);
});
// The browser may slow a hidden tab down, or freeze it; the worker goes on where it was.
let busyWhenHidden = false;
document.addEventListener("visibilitychange", () => {
  const busy = photos.some((photo) => photo.busy);
  if (document.hidden) busyWhenHidden = busy;
  else if (busyWhenHidden)
    tell(busy ? "This tab was hidden and may have been slowed down; it goes on, nothing is lost" : "Your photos were restored while this tab was hidden", 8000);
});
addEventListener("beforeunload", (event) => photos.some((p) => p.busy) && event.preventDefault());

navigator.serviceWorker?.register("./sw.js").catch(() => {}); // no https: no offline use
