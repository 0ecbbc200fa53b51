// What changes on the screen, as it comes. Nothing that was heard long ago stays on it: then the screen says so.
"use strict";
const SILENT_MS = 4000;
const AGAIN_MS = 2000;
const live = document.getElementById("live");
const outline = document.getElementById("outline");
const lost = document.getElementById("lost");
let heard = performance.now();
let pictured = heard;
let source = null;

function show(now) {
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
  document.querySelector(".ring").hidden = !now.ring;
  if (now.ring) document.getElementById("share").setAttribute("stroke-dasharray", `${now.ring.share * 100} 100`);
  document.querySelector(".link").dataset.linked = now.is_linked;
  picture(now);
}

function picture(now) {
  live.hidden = now.picture !== "";
  outline.toggleAttribute("hidden", !now.outline || live.hidden);
  if (now.outline) {
    outline.setAttribute("viewBox", `0 0 ${now.outline.width} ${now.outline.height}`);
    outline.dataset.well = now.outline.is_well;
    outline.firstElementChild.setAttribute("points", now.outline.points);
  }
}

function look() {
  pictured = performance.now();
  live.src = `${live.src.split("?")[0]}?${Math.round(pictured)}`;
}

function listen() {
  source = new EventSource("/state");
  source.onopen = () => look();
  source.onmessage = (event) => { hear(); show(JSON.parse(event.data)); };
  source.addEventListener("beat", hear);
  source.onerror = () => {
    // A refusal ends an EventSource for good; whatever it was, it is tried again.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  };
}

function hear() {
  heard = performance.now();
  if (!lost.hidden) { lost.hidden = true; lost.textContent = ""; }
}

function watch() {
  const now = performance.now();
  if (now - heard > SILENT_MS && lost.hidden) {
    const title = document.createElement("h2");
    title.textContent = lost.dataset.title;
    const cure = document.createElement("p");
    cure.textContent = lost.dataset.cure;
    lost.replaceChildren(title, cure);
    lost.hidden = false;
    live.hidden = true;
  }
  // A stream that makes room for another ends without a word to the picture.
  if (live.hidden && lost.hidden && now - pictured > 2 * SILENT_MS) look();
}

live.addEventListener("error", () => setTimeout(look, AGAIN_MS));
document.addEventListener("visibilitychange", () => { if (!document.hidden) heard = performance.now(); });
setInterval(watch, 500);
listen();
