// Lamps as rectangles on the picture: drawn and moved with mouse, finger or keys; the form's numbers are what is sent.

import { paint, poll, showPicture } from "./setup_live.js";

const form = document.getElementById("lamps");
const stage = document.getElementById("stage");
const overlay = document.getElementById("overlay");
const trouble = document.getElementById("trouble");
const MEANINGS = ["ok", "leak"];
const SIDES = ["x", "y", "w", "h"];
const LEAST_PX = 4;
const HANDLE_SHARE = 0.022;
const PLACED_SHARE = 0.06;
const WORDS = { dark: "reads: dark", lit: "reads: lit", unreadable: "cannot be read: draw it closer round the light" };
let size = [0, 0];
let drag = null;

const field = (means, side) => form.elements[`${means}_${side}`];
const chosen = () => form.elements.drawn.value;
const group = (means) => overlay.querySelector(`[data-lamp="${means}"]`);

function rect(means) {
  const numbers = SIDES.map((side) => parseFloat(field(means, side).value));
  return numbers.every(Number.isFinite) && numbers[2] > 0 && numbers[3] > 0 ? numbers : null;
}

// A mark is kept in the picture: it may be no larger, and lies within.
function mark(means, [x, y, w, h]) {
  const width = Math.min(Math.max(Math.round(w), LEAST_PX), size[0]);
  const height = Math.min(Math.max(Math.round(h), LEAST_PX), size[1]);
  const left = Math.min(Math.max(Math.round(x), 0), size[0] - width);
  const top = Math.min(Math.max(Math.round(y), 0), size[1] - height);
  [left, top, width, height].forEach((value, index) => (field(means, SIDES[index]).value = value));
  form.elements.none.checked = false;
  draw();
}

function clear(means) {
  SIDES.forEach((side) => (field(means, side).value = ""));
  draw();
}

function draw() {
  const side = HANDLE_SHARE * size[0];
  for (const means of MEANINGS) {
    const now = rect(means);
    const shown = group(means);
    shown.toggleAttribute("hidden", !now);
    form.querySelector(`[data-place="${means}"]`).hidden = Boolean(now);
    form.querySelector(`[data-clear="${means}"]`).hidden = !now;
    if (!now) continue;
    const [x, y, w, h] = now;
    place(shown.querySelector(".area"), [x, y, w, h]);
    place(shown.querySelector(".handle"), [x + w - side / 4, y + h - side / 4, side, side]);
    const name = shown.querySelector("text");
    const isFarRight = x > 0.85 * size[0];
    name.setAttribute("x", isFarRight ? x + w : x);
    name.setAttribute("text-anchor", isFarRight ? "end" : "start");
    name.setAttribute("y", y > 30 ? y - 8 : y + h + 20);
  }
}

function place(shape, numbers) {
  ["x", "y", "width", "height"].forEach((name, index) => shape.setAttribute(name, numbers[index]));
}

function at(event) {
  const box = overlay.getBoundingClientRect();
  return [((event.clientX - box.left) * size[0]) / box.width, ((event.clientY - box.top) * size[1]) / box.height];
}

stage.addEventListener("pointerdown", (event) => {
  if (!size[0] || event.button > 0) return;
  const [x, y] = at(event);
  const touched = event.target.closest(".lamp");
  const means = touched ? touched.dataset.lamp : chosen();
  form.elements.drawn.value = means;
  const kind = !touched ? "new" : event.target.classList.contains("handle") ? "size" : "move";
  drag = { means, kind, x, y, was: rect(means) };
  stage.setPointerCapture(event.pointerId);
  event.preventDefault();
});

stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [x, y] = at(event);
  const [left, top, w, h] = drag.was ?? [0, 0, 0, 0];
  if (drag.kind === "new") {
    const far = Math.abs(x - drag.x) >= LEAST_PX && Math.abs(y - drag.y) >= LEAST_PX;
    if (far) mark(drag.means, [Math.min(x, drag.x), Math.min(y, drag.y), Math.abs(x - drag.x), Math.abs(y - drag.y)]);
  } else if (drag.kind === "size") mark(drag.means, [left, top, w + x - drag.x, h + y - drag.y]);
  else mark(drag.means, [left + x - drag.x, top + y - drag.y, w, h]);
});

const release = () => {
  if (drag && rect(drag.means)) group(drag.means).focus({ preventScroll: true });
  drag = null;
};
stage.addEventListener("pointerup", release);
stage.addEventListener("pointercancel", release);

overlay.addEventListener("keydown", (event) => {
  const touched = event.target.closest(".lamp");
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
  if (!touched || (!dx && !dy)) return;
  const means = touched.dataset.lamp;
  const [x, y, w, h] = rect(means);
  const step = event.ctrlKey ? 10 : 1;
  mark(means, event.shiftKey ? [x, y, w + step * dx, h + step * dy] : [x + step * dx, y + step * dy, w, h]);
  event.preventDefault();
});

form.addEventListener("input", draw);
for (const button of form.querySelectorAll("[data-clear]")) {
  button.addEventListener("click", () => {
    clear(button.dataset.clear);
    form.querySelector(`[data-place="${button.dataset.clear}"]`).focus();
  });
}
for (const button of form.querySelectorAll("[data-place]")) {
  button.addEventListener("click", () => {
    if (!size[0]) return;
    const side = PLACED_SHARE * size[0];
    mark(button.dataset.place, [(size[0] - side) / 2, (size[1] - side) / 2, side, side]);
    group(button.dataset.place).focus({ preventScroll: true });
  });
}

function tell(means, news) {
  const word = form.querySelector(`[data-word="${means}"]`);
  const crop = form.querySelector(`[data-crop="${means}"]`);
  const text = news ? (news.fault ?? WORDS[news.word]) : "not marked";
  if (word.textContent !== text) word.textContent = text;
  word.dataset.read = news ? (news.fault ? "fault" : news.word) : "";
  if (news?.crop) paint(crop, news.crop);
  else crop.hidden = true;
}

function address() {
  const about = new URLSearchParams();
  for (const means of MEANINGS) {
    if (SIDES.some((side) => field(means, side).value)) {
      about.set(means, SIDES.map((side) => field(means, side).value).join(","));
    }
  }
  return `${form.dataset.url}?${about}`;
}

poll(address, 300, async (news) => {
  await showPicture(news);
  trouble.hidden = !news.fault;
  if (news.fault) {
    if (trouble.textContent !== news.fault) trouble.textContent = news.fault;
    return;
  }
  const first = !size[0];
  size = news.frame_size_px;
  if (first) draw();
  MEANINGS.forEach((means) => tell(means, news.lamps[means]));
});
