// What changes on the screen, as it comes. Nothing that was heard or seen long ago stays on it: then the screen says so.
"use strict";
const SILENT_MS = 4000;
const FROZEN_MS = 2500;
const AGAIN_MS = 1000;
const SHORT = 9;
const LONG = 100;
const HEAD_BYTES = 1000;
const live = document.getElementById("live");
const outline = document.getElementById("outline");
const lost = document.getElementById("lost");
let heard = performance.now();
let pictured = -Infinity;
let latest = null;

function show(now) {
  latest = now;
  for (const place of document.querySelectorAll("[data-text]")) {
    const words = place.dataset.text.split(".").reduce((record, name) => record?.[name], now) ?? "";
    if (place.textContent !== words) place.textContent = words;
    place.hidden = words === "";
  }
  const trouble = document.querySelector(".trouble");
  trouble.dataset.priority = now.trouble.priority;
  trouble.querySelector("use").setAttribute("href", now.trouble.priority === "none" ? "#s-check" : "#s-warning");
  document.querySelector(".word").dataset.tone = now.tone;
  document.getElementById("symbol").setAttribute("href", `#s-${now.symbol}`);
  document.querySelector(".headline").dataset.short = now.headline.length <= SHORT;
  document.querySelector(".detail").dataset.long = now.detail.length > LONG;
  document.querySelector(".ring").hidden = !now.ring;
  if (now.ring) document.getElementById("share").setAttribute("stroke-dasharray", `${now.ring.share * 100} 100`);
  document.querySelector(".link").dataset.linked = now.is_linked;
  if (now.outline) {
    outline.setAttribute("viewBox", `0 0 ${now.outline.width} ${now.outline.height}`);
    outline.dataset.well = now.outline.is_well;
    outline.firstElementChild.setAttribute("points", now.outline.points);
  }
  look();
}

// A picture that no newer one followed is not shown any more, whatever became of its stream.
function look() {
  const isNew = latest !== null && latest.is_fresh && performance.now() - pictured < FROZEN_MS;
  live.hidden = !isNew;
  outline.toggleAttribute("hidden", !isNew || !latest.outline);
}

function listen() {
  const source = new EventSource(`/state?lang=${document.documentElement.lang}`);
  source.onmessage = (event) => { hear(); show(JSON.parse(event.data)); };
  source.addEventListener("beat", hear);
  source.onerror = () => {
    // A refusal ends an EventSource for good; whatever it was, it is tried again.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  };
}

function hear() {
  heard = performance.now();
  if (!lost.hidden) {
    lost.hidden = true;
    lost.replaceChildren();
  }
}

async function watchPictures() {
  try {
    const answer = await fetch("/live.mjpg");
    if (answer.ok) for await (const picture of pictures(answer.body.getReader())) await draw(picture);
  } catch {
    // The panel is away or has ended this stream: it is asked again.
  }
  setTimeout(watchPictures, AGAIN_MS);
}

// Parts of a multipart stream, by the length that each one's head gives.
async function* pictures(reader) {
  let bytes = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const more = new Uint8Array(bytes.length + value.length);
    more.set(bytes);
    more.set(value, bytes.length);
    bytes = more;
    for (let part = firstPart(bytes); part; part = firstPart(bytes)) {
      yield bytes.slice(part.begins, part.ends);
      bytes = bytes.slice(part.ends);
    }
  }
}

function firstPart(bytes) {
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, HEAD_BYTES));
  const ends = head.indexOf("\r\n\r\n");
  const length = /Content-Length: (\d+)/.exec(head.slice(0, Math.max(0, ends)));
  if (!length) return null;
  const begins = ends + 4;
  return bytes.length < begins + Number(length[1]) ? null : { begins, ends: begins + Number(length[1]) };
}

async function draw(picture) {
  const image = await createImageBitmap(new Blob([picture], { type: "image/jpeg" }));
  if (live.width !== image.width) live.width = image.width;
  if (live.height !== image.height) live.height = image.height;
  live.getContext("2d").drawImage(image, 0, 0);
  image.close();
  pictured = performance.now();
  look();
}

function watch() {
  if (performance.now() - heard > SILENT_MS && lost.hidden) {
    const title = document.createElement("h2");
    title.textContent = lost.dataset.title;
    const cure = document.createElement("p");
    cure.textContent = lost.dataset.cure;
    lost.replaceChildren(title, cure);
    lost.hidden = false;
    document.querySelector(".clock").hidden = true;
  }
  look();
}

setInterval(watch, 500);
listen();
watchPictures();
