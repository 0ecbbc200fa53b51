// How the camera is aimed now: the picture with what is seen in it, figures against their limits, and what to do next.

import { poll, put, showPicture } from "./setup_live.js";

const SVG = "http://www.w3.org/2000/svg";
const page = document.getElementById("aim");
const say = document.getElementById("say");
const improve = document.getElementById("improve");
const FIGURES = {
  module_px: { digits: 1, isBad: (value) => value < Number(page.dataset.module) },
  edge_modules: { digits: 2, isBad: (value) => value > Number(page.dataset.edge) },
  contrast: { digits: 0, isBad: (value) => value < Number(page.dataset.contrast) },
};

const HELD_MS = 1500;
let saidAt = 0;

// Figures that change from picture to picture are said now and then: whoever listens hears them all otherwise.
function tell(words, tone) {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  const bare = (one) => one.replace(/[\d.]+/g, "");
  say.dataset.tone = tone;
  if (say.textContent === text) return;
  if (bare(say.textContent) === bare(text) && performance.now() - saidAt < HELD_MS) return;
  say.textContent = text;
  saidAt = performance.now();
}

// What was seen before is not what is there now.
function forget() {
  document.getElementById("overlay").replaceChildren();
  for (const row of document.querySelectorAll("[data-corner]")) {
    row.dataset.state = "unknown";
    row.querySelectorAll("[data-figure]").forEach((cell) => {
      cell.textContent = "–";
      cell.classList.remove("over");
    });
  }
  ["light", "clipped", "noise", "shake", "size"].forEach((id) => put(id, "–"));
  list(["Nothing can be seen just now."]);
}

function showCorner(corner) {
  const row = document.querySelector(`[data-corner="${corner.corner}"]`);
  row.dataset.state = corner.seen ? (corner.words ? "bad" : "good") : "missing";
  for (const [name, figure] of Object.entries(FIGURES)) {
    const cell = row.querySelector(`[data-figure="${name}"]`);
    cell.textContent = corner.seen ? corner[name].toFixed(figure.digits) : "–";
    cell.classList.toggle("over", corner.seen && figure.isBad(corner[name]));
  }
}

function outline(points, kind) {
  const shape = document.createElementNS(SVG, "polygon");
  shape.setAttribute("points", points.map((point) => point.join(",")).join(" "));
  shape.setAttribute("class", kind);
  return shape;
}

function draw(news) {
  const shapes = news.tank_px.length ? [outline(news.tank_px, "tank")] : [];
  for (const corner of news.corners.filter((one) => one.seen)) {
    shapes.push(outline(corner.corners_px, corner.words ? "code bad" : "code"));
    const name = document.createElementNS(SVG, "text");
    const [x, y] = corner.corners_px[0];
    name.setAttribute("x", x + 6);
    name.setAttribute("y", y + 22);
    name.textContent = corner.corner;
    shapes.push(name);
  }
  document.getElementById("overlay").replaceChildren(...shapes);
}

function list(words) {
  const lines = words.length ? words : ["Nothing: go on."];
  if (improve.dataset.said === lines.join("\n")) return;
  improve.dataset.said = lines.join("\n");
  improve.replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
  );
}

poll(
  () => page.dataset.url,
  250,
  async (news) => {
    await showPicture(news);
    if (news.fault) {
      tell(news.fault, "bad");
      forget();
      return;
    }
    news.corners.forEach(showCorner);
    draw(news);
    put("light", `${news.light_level.toFixed(0)} of 255`);
    put("clipped", `${(100 * news.clipped_share).toFixed(1)} %`);
    put("noise", news.noise_levels === null ? "–" : `${news.noise_levels.toFixed(1)} grey levels`);
    put("shake", news.shake_px === null ? "–" : `${news.shake_px.toFixed(1)} px`);
    put("size", news.frame_size_px.join("x"));
    const advice = news.noted ? [...news.advice, news.noted] : news.advice;
    list([...news.faults, ...advice]);
    if (news.faults.length) tell(news.faults[0], "bad");
    else if (advice.length) tell(`All four markers are seen. Better: ${advice[0]}`, "advice");
    else tell("All four markers are seen, sharp and well lit: go on", "good");
  },
);
