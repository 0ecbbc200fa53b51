// The player: joins clip, clock, sight, marks and keys, and offers the page `window.tankwatchPlayer`.
//   load(descriptor)     shows another clip at once; resolves when its first picture is on the screen
//   preload(descriptor)  makes ready what load will need; resolves when it is
//   marks()              [{x_px, y_px, frame, time_s}], also in the form's hidden input "marks"
//   reset()              zoom, loop, view, marks and picture settings as at first
// A clip that cannot be shown: the words on the screen, and an event "player:fault" on the document (detail: words).

import { openClip } from "./player-clip.js";
import { Clock } from "./player-clock.js";
import { listen } from "./player-keys.js";
import { Marks } from "./player-marks.js";
import * as pixels from "./player-pixels.js";
import { Sight } from "./player-sight.js";

const LOOK_AGAIN_MS = 5000;
const VIEWS = ["video", "frames", "composite", "moving"];
const AHEAD = 3; // frames decoded before they are due
const PAN = 1 / 8;
const ZOOM = 1.25;
const AT_FIRST = 100; // per cent, brightness and contrast

const stage = document.getElementById("player");
const byId = (id) => document.getElementById(id);
const all = (selector) => [...stage.querySelectorAll(selector)];
const mayMark = "mayMark" in stage.dataset;

let video = byId("video");
let clip = null;
let view = "video";
let ready = null; // the preloaded next: {sha256, clip, video}
let shown = ""; // what the canvas holds
let covered = false; // the canvas lies over the video until the video has a picture of its own
const canvas = byId("picture");
const pen = canvas.getContext("2d", { alpha: false });
let image = null;

const say = (words) => { byId("player-says").textContent = words; };
const seconds = (second) => `${second.toFixed(1)} s`;

// ---- pictures

const neededFor = (number) => {
  if (view !== "composite") return [number];
  return pixels.three(clip.about.taken_s, number, clip.about.spacing_s) ?? [number];
};
const wordsFor = (numbers) => {
  const last = numbers.at(-1) + 1;
  if (view === "composite") {
    return numbers.length === 3 ? `Composite of frames ${numbers.map((number) => number + 1).join(", ")}` : `Frame ${last}: too early for a composite`;
  }
  if (view !== "moving") return `Stored frame ${last} of ${clip.count}`;
  return clip.stillGrey ? `Frame ${last} without the median of ${clip.stillFrames} frames` : "Working out the median …";
};
const paint = (numbers, greys) => {
  const out = new Uint32Array(image.data.buffer);
  if (view === "composite" && greys.length === 3) pixels.composite(greys, out);
  else if (view === "moving" && clip.stillGrey) pixels.withoutMedian(greys[0], clip.stillGrey, out);
  else pixels.grey(greys.at(-1), out);
  pen.putImageData(image, 0, 0);
  canvas.dataset.frame = String(numbers.at(-1));
  canvas.dataset.view = view;
};
const fetchAhead = (number) => {
  for (let ahead = 1; ahead <= AHEAD; ahead += 1) clip.load((number + ahead) % clip.count).catch(() => {});
};

// Draws what the view wants for the present frame, now where it is here, otherwise as soon as it is.
const draw = () => {
  const playsVideo = view === "video" && clock.playing && clock.video;
  if (!clip || (playsVideo && !covered)) {
    canvas.hidden = true;
    byId("picture-words").textContent = clip && playsVideo ? "Video" : "";
    return;
  }
  if (playsVideo) return; // the canvas goes when the video has its first picture
  const number = clock.frame;
  const numbers = neededFor(number);
  const greys = numbers.map((wanted) => clip.grey(wanted));
  const wanted = `${view} ${number} ${Boolean(clip.stillGrey)}`;
  if (greys.every(Boolean)) {
    if (shown !== wanted || canvas.hidden) paint(numbers, greys);
    shown = wanted;
    canvas.hidden = false;
    covered = true;
    byId("picture-words").textContent = wordsFor(numbers);
  } else {
    const asked = clip;
    Promise.all(numbers.map((missing) => clip.load(missing)))
      .then(() => { if (clip === asked && number === clock.frame) draw(); }, (error) => { if (clip === asked) fault(error.message); });
  }
  if (clock.playing) fetchAhead(number);
};
const uncoverWhenVideoShows = () => {
  const mine = video;
  const uncover = () => { if (mine === video) { covered = false; draw(); } };
  if (mine.requestVideoFrameCallback) mine.requestVideoFrameCallback(uncover);
  else mine.addEventListener("timeupdate", uncover, { once: true });
};
const setView = (wanted) => {
  view = wanted;
  all("button[data-view]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === view)));
  if (view === "moving" && clip && !clip.stillGrey) clip.still().then(draw, (error) => say(`No median: ${error.message}`));
  if (view === "video" && clock.playing && clock.video) uncoverWhenVideoShows();
  draw();
  if (clip && view !== "video") clip.loadAll().catch(() => {});
};

// ---- clock, seek bar, loop

const showTime = () => {
  const seek = byId("seek");
  seek.max = String(clock.times.length - 1);
  seek.value = String(clock.frame);
  const now = seconds(clock.times[clock.frame]);
  seek.setAttribute("aria-valuetext", `${now}, frame ${clock.frame + 1} of ${clock.times.length}`);
  byId("clock").textContent = now;
};
const showLoop = () => {
  const band = byId("loop-band");
  band.hidden = !clock.loop;
  byId("loop-clear").disabled = !clock.loop;
  if (!clock.loop) return;
  const share = (frame) => 100 * frame / Math.max(1, clock.times.length - 1);
  band.style.left = `${share(clock.loop.from)}%`;
  band.style.width = `${share(clock.loop.to) - share(clock.loop.from)}%`;
};
const showState = () => {
  byId("play").setAttribute("aria-pressed", String(clock.playing));
  byId("play-word").textContent = clock.playing ? "Pause" : "Play";
  all("[data-speed]").forEach((button) => button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === clock.speed)));
  showLoop();
};
const clock = new Clock((what) => {
  if (what === "state") showState();
  if (what === "state" && clock.playing && covered && clock.video) uncoverWhenVideoShows();
  showTime();
  draw();
});
const setLoop = (side) => {
  clock.setLoop(side);
  say(`Loop from frame ${clock.loop.from + 1} to ${clock.loop.to + 1}`);
};
const clearLoop = () => { clock.clearLoop(); say("Loop off"); };

// ---- marks, zoom, picture settings

const marks = new Marks(byId("drawing"), byId("marks"), () => {
  byId("mark-count").textContent = String(marks.list().length);
  byId("mark-back").disabled = !marks.list().length;
  drawMarks();
});
const addMark = (x, y) => {
  if (clock.playing) clock.pause();
  const done = marks.add(x, y, clock.frame);
  say(done ? `Mark ${marks.list().length} set at ${Math.round(x)}, ${Math.round(y)} in frame ${clock.frame + 1}` : "That is as many marks as a case can hold");
};
const sight = new Sight(byId("screen"), byId("sheet"), {
  tapped: (x, y) => { if (marks.aiming) { marks.cross = [Math.round(x), Math.round(y)]; addMark(x, y); } else clock.toggle(); },
  changed: () => drawMarks(),
});
function drawMarks() { if (clip) marks.draw(sight.scale); }

const setAiming = (aiming) => {
  if (!mayMark || !clip) return false;
  marks.aiming = aiming;
  byId("mark").setAttribute("aria-pressed", String(aiming));
  byId("screen").classList.toggle("aiming", aiming);
  say(aiming ? "Marking: arrows move the cross-hair, Enter sets a mark, Backspace takes one back" : "Marking off");
  drawMarks();
  return true;
};
const aim = (right, down) => {
  marks.moveCross(right, down);
  sight.reveal(...marks.cross);
  drawMarks();
  say(`Cross-hair at ${marks.cross.join(", ")}`);
};
const takeBack = () => { if (marks.takeBack()) say(`Mark taken back, ${marks.list().length} left`); };
const zoomBy = (factor) => { sight.zoomBy(factor); say(`Zoom ${sight.zoom.toFixed(1)}`); };
const adjust = () => {
  const [bright, contrast] = ["brightness", "contrast"].map((name) => byId(name).value);
  for (const picture of [video, canvas]) {
    picture.style.filter = bright === String(AT_FIRST) && contrast === String(AT_FIRST) ? "" : `brightness(${bright}%) contrast(${contrast}%)`;
  }
  for (const name of ["brightness", "contrast"]) byId(`${name}-now`).textContent = `${byId(name).value} %`;
};
const resetAdjust = () => { for (const name of ["brightness", "contrast"]) byId(name).value = String(AT_FIRST); adjust(); };
const togglePanel = () => {
  const panel = byId("adjust-panel");
  panel.hidden = !panel.hidden;
  byId("adjust").setAttribute("aria-expanded", String(!panel.hidden));
  (panel.hidden ? byId("adjust") : byId("brightness")).focus();
};
const showOverlay = (on) => {
  byId("player-heat").hidden = !on;
  byId("drawing").classList.toggle("without-origin", !on);
  byId("overlay").setAttribute("aria-pressed", String(on));
};

// ---- one clip after another

const fault = (words) => {
  clock.pause();
  byId("video-fault").textContent = `This clip cannot be shown: ${words}. You can close the case as “cannot tell”.`;
  byId("video-fault").hidden = false;
  document.dispatchEvent(new CustomEvent("player:fault", { detail: words }));
};
// A browser that cannot play the video may still show the stored frames; only where these fail, too, is the clip lost.
const videoFailed = async (failed, descriptor) => {
  if (failed !== video) return;
  clock.withoutVideo();
  try {
    if (!clip) {
      const opened = await openClip(descriptor);
      clip ??= opened;
      adopt(clip, []);
    }
    await clip.load(0);
    say("The video cannot be played here; the stored frames are shown instead");
    setView(view === "video" ? "frames" : view);
  } catch (error) {
    if (failed === video) fault(error.message);
  }
};
const watch = (element, descriptor) => { element.addEventListener("error", () => videoFailed(element, descriptor)); };

const adopt = (opened, known) => {
  const size = opened.about.size_px;
  [canvas.width, canvas.height] = size;
  image = new ImageData(...size);
  shown = "";
  sight.size = size;
  clock.setTimes(opened.about.times_s);
  marks.load(size, known, (frame) => opened.about.times_s[frame]);
  byId("broken-off").hidden = opened.about.whole;
  showLoop();
  drawMarks();
};
const newVideo = (address) => {
  const made = video.cloneNode(false);
  for (const name of ["src", "autoplay", "hidden", "style"]) made.removeAttribute(name);
  made.muted = true; // a clone forgets it
  made.preload = "auto";
  made.src = address;
  return made;
};
const take = (made) => {
  const old = video;
  video = made;
  old.replaceWith(made);
  old.pause();
  old.removeAttribute("src");
  old.load();
  adjust();
};
const painted = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));

const preload = async (descriptor) => {
  if (ready?.sha256 === descriptor.sha256) return ready.done;
  ready?.clip?.close();
  const mine = { sha256: descriptor.sha256, video: newVideo(descriptor.video), clip: null };
  mine.done = openClip(descriptor).then(async (opened) => { mine.clip = opened; await opened.load(0); });
  mine.done.catch(() => {}); // load says what is wrong
  ready = mine;
  return mine.done;
};
const load = async (descriptor) => {
  if (ready?.sha256 !== descriptor.sha256) preload(descriptor);
  const mine = ready;
  ready = null;
  setAiming(false);
  clip?.close();
  clip = null;
  for (const id of ["video-fault", "missing", "broken-off"]) if (byId(id)) byId(id).hidden = true;
  sight.reset();
  marks.clear();
  stage.classList.remove("without-clip");
  take(mine.video);
  watch(video, descriptor);
  covered = true;
  clock.load([0], video);
  if (!mine.clip?.grey(0)) await mine.done.catch((error) => fault(error.message));
  if (mine.video !== video || !mine.clip) return;
  clip = mine.clip;
  adopt(clip, []);
  showFirst();
  setView(view);
  await painted();
  afterwards(clip);
};
// The picture is there before the video has begun.
const showFirst = () => {
  const first = clip.grey(0);
  if (!first) return;
  pixels.grey(first, new Uint32Array(image.data.buffer));
  pen.putImageData(image, 0, 0);
  Object.assign(canvas.dataset, { frame: "0", view: "frames" });
  canvas.hidden = false;
};
// Stored frames wait until the video is here: it is what the expert watches first.
const afterwards = (opened) => {
  const all = () => { if (clip === opened) opened.loadAll().catch(() => {}); };
  if (video.readyState >= 4) all(); else video.addEventListener("canplaythrough", all, { once: true });
};
const begin = async (descriptor, known) => {
  watch(video, descriptor);
  clock.load([0], video);
  if (video.error) { await videoFailed(video, descriptor); return; }
  try {
    const opened = await openClip(descriptor);
    if (clip || !byId("video-fault").hidden) return;
    clip = opened;
    adopt(clip, known);
    setView(view);
    afterwards(clip);
  } catch (error) {
    fault(error.message);
  }
};
const reset = () => {
  sight.reset();
  marks.clear();
  clock.clearLoop();
  clock.setSpeed(1);
  resetAdjust();
  setAiming(false);
  setView("video");
};

// ---- hands

const nextView = () => { setView(VIEWS[(VIEWS.indexOf(view) + 1) % VIEWS.length]); say(byId(`view-${view}`).dataset.words); };
const heatByKey = () => {
  if (!byId("overlay")) return false;
  showOverlay(byId("player-heat").hidden);
  return false; // the page's own heat map hears the key, too
};
const arrow = (right, down, far) => () => {
  const by = far ? 10 : 1;
  if (marks.aiming) aim(right * by, down * by);
  else if (right) clock.step(right * by);
  else if (!far) clock.faster(-down);
  else return false;
  return true;
};
const whileAiming = (action) => () => { if (!marks.aiming) return false; action(); return true; };
const help = byId("keys");
const ACTIONS = {
  " ": () => clock.toggle(),
  ",": () => clock.step(-1),
  ".": () => clock.step(1),
  "[": () => clock.faster(-1),
  "]": () => clock.faster(1),
  a: () => setLoop("from"),
  b: () => setLoop("to"),
  x: clearLoop,
  v: nextView,
  "+": () => zoomBy(ZOOM),
  "=": () => zoomBy(ZOOM),
  "-": () => zoomBy(1 / ZOOM),
  0: () => { sight.reset(); say("Whole picture"); },
  w: () => sight.panBy(0, -PAN),
  s: () => sight.panBy(0, PAN),
  q: () => sight.panBy(-PAN, 0),
  e: () => sight.panBy(PAN, 0),
  g: togglePanel,
  m: () => setAiming(!marks.aiming),
  h: heatByKey,
  "?": () => help.showModal(),
  Enter: whileAiming(() => addMark(...marks.cross)),
  Backspace: whileAiming(takeBack),
  Escape: whileAiming(() => setAiming(false)),
};
for (const [name, right, down] of [["Left", -1, 0], ["Right", 1, 0], ["Up", 0, -1], ["Down", 0, 1]]) {
  ACTIONS[`Arrow${name}`] = arrow(right, down, false);
  ACTIONS[`Shift+Arrow${name}`] = arrow(right, down, true);
}
const CLICKS = {
  back: ACTIONS[","], play: ACTIONS[" "], on: ACTIONS["."], "loop-from": ACTIONS.a, "loop-to": ACTIONS.b, "loop-clear": clearLoop,
  "zoom-in": ACTIONS["+"], "zoom-out": ACTIONS["-"], "zoom-off": ACTIONS["0"], mark: ACTIONS.m, "mark-back": takeBack,
  adjust: togglePanel, "adjust-reset": resetAdjust, help: ACTIONS["?"], overlay: () => showOverlay(byId("player-heat").hidden),
};

const wire = () => {
  for (const [id, action] of Object.entries(CLICKS)) byId(id)?.addEventListener("click", action);
  all("button[data-view]").forEach((button) => button.addEventListener("click", () => setView(button.dataset.view)));
  all("[data-speed]").forEach((button) => button.addEventListener("click", () => clock.setSpeed(Number(button.dataset.speed))));
  byId("seek").addEventListener("input", (event) => { if (clock.playing) clock.pause(); clock.show(Number(event.target.value)); });
  for (const name of ["brightness", "contrast"]) byId(name).addEventListener("input", adjust);
  const whereShown = (action) => () => !stage.classList.contains("without-clip") && action();
  const shown = Object.entries(ACTIONS).map(([key, action]) => [key, key === "?" ? action : whereShown(action)]);
  listen(Object.fromEntries(shown), help);
};
const lookAgain = () => {
  const form = byId("judge");
  const begun = form?.querySelector(":checked") || form?.elements.note?.value;
  if (begun) setTimeout(lookAgain, LOOK_AGAIN_MS); else location.reload();
};

wire();
window.tankwatchPlayer = { load, preload, marks: () => marks.list(), reset };
if (stage.dataset.origin) marks.origin = JSON.parse(stage.dataset.origin);
if (stage.dataset.clip) begin(JSON.parse(stage.dataset.clip), JSON.parse(stage.dataset.marks));
if (stage.querySelector("[data-waiting]")) setTimeout(lookAgain, LOOK_AGAIN_MS);
