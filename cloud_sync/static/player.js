// The player: joins clip, clock, pictures, sight, marks and keys, and offers the page `window.tankwatchPlayer`.
//   load(descriptor)     shows another clip at once, blind; resolves when its first picture is on the screen
//   preload(descriptor)  makes ready what load will need; resolves when it is
//   reveal({heat, origin})  after the judgement: address of the heat map, [x, y] of the origin, or null for either
//   marks()              [{x_px, y_px, frame, time_s}], also in the form's hidden input "marks"
//   reset()              zoom, loop, speed, view, marks and picture settings as at first
// A descriptor is what data-clip holds: {sha256, clip, video, frames}. A clip that cannot be shown puts its words on
// the screen, leaves only "cannot tell" to choose, and sends "player:fault" (detail: words) to the document.

import { adjustPanel } from "./player-adjust.js";
import { Aim } from "./player-aim.js";
import { openClip } from "./player-clip.js";
import { Clock } from "./player-clock.js";
import { Unreachable } from "./player-fetch.js";
import { hands } from "./player-hands.js";
import { listen } from "./player-keys.js";
import { Marks } from "./player-marks.js";
import { Pictures, VIEWS } from "./player-pictures.js";
import { Sight } from "./player-sight.js";

const LOOK_AGAIN_MS = 5000;

const stage = document.getElementById("player");
const byId = (id) => document.getElementById(id);
const all = (selector) => [...stage.querySelectorAll(selector)];
const press = (button, on) => button.setAttribute("aria-pressed", String(on));
const say = (words) => { byId("player-says").textContent = words; };

let video = byId("video");
let clip = null;
let view = "video";
let broken = null; // the video whose clip was said to be damaged: what still arrives of it is not shown
let next = null; // preloaded: {sha256, clip, video, done}
let covered = false; // the canvas lies over the video until the video has a picture of its own

// ---- pictures and time

const pictures = new Pictures(byId("picture"), byId("picture-words"));

// Draws what the view wants of the present frame, now where it is here, otherwise as soon as it is.
const draw = () => {
  const playsVideo = view === "video" && clock.playing && clock.video;
  if (!clip || (playsVideo && !covered)) { pictures.hide(clip && playsVideo ? "Video" : ""); return; }
  if (playsVideo) return; // the canvas goes when the video has its first picture
  const asked = clip;
  const number = clock.frame;
  const drawn = pictures.draw(view, number);
  if (drawn === true) { covered = true; byId("video-fault").hidden = true; }
  else drawn.then(() => { if (clip === asked && number === clock.frame) draw(); }, (error) => { if (clip === asked) fault(error); });
  if (clock.playing) pictures.fetchAhead(number);
};
const uncoverWhenVideoShows = () => {
  const mine = video;
  const uncover = () => { if (mine === video) { covered = false; draw(); } };
  if (mine.requestVideoFrameCallback) mine.requestVideoFrameCallback(uncover);
  else mine.addEventListener("timeupdate", uncover, { once: true });
};
const setView = (wanted) => {
  view = wanted;
  all("[data-view]").forEach((button) => press(button, button.dataset.view === view));
  if (!clip) return;
  if (view === "moving" && !clip.stillGrey) clip.still().then(draw, (error) => say(`No median: ${error.message}`));
  if (view === "video" && clock.playing && clock.video) uncoverWhenVideoShows();
  draw();
  if (view !== "video") clip.loadAll().catch(() => {});
};
const showTime = () => {
  const seek = byId("seek");
  const now = `${clock.times[clock.frame].toFixed(1)} s`;
  seek.max = String(clock.times.length - 1);
  seek.value = String(clock.frame);
  seek.setAttribute("aria-valuetext", `${now}, frame ${clock.frame + 1} of ${clock.times.length}`);
  byId("clock").textContent = now;
};
const showState = () => {
  press(byId("play"), clock.playing);
  byId("play-word").textContent = clock.playing ? "Pause" : "Play";
  all("[data-speed]").forEach((button) => press(button, Number(button.dataset.speed) === clock.speed));
  const band = byId("loop-band");
  band.hidden = !clock.loop;
  byId("loop-clear").disabled = !clock.loop;
  const share = (frame) => 100 * frame / Math.max(1, clock.times.length - 1);
  if (!clock.loop) return;
  band.style.left = `${share(clock.loop.from)}%`;
  band.style.width = `${share(clock.loop.to) - share(clock.loop.from)}%`;
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

// ---- marks, zoom, overlay

const drawMarks = () => { if (clip) marks.draw(sight.scale); };
const marks = new Marks(byId("drawing"), byId("marks"), () => {
  if (byId("mark-count")) byId("mark-count").textContent = String(marks.list().length);
  if (byId("mark-back")) byId("mark-back").disabled = !marks.list().length;
  drawMarks();
});
const sight = new Sight(byId("screen"), byId("sheet"), {
  tapped: (x, y) => { if (aim.on) aim.add(x, y); else clock.toggle(); },
  changed: () => drawMarks(),
});
const aim = new Aim({ marks, sight, clock, screen: byId("screen"), button: byId("mark"), say });
const adjust = adjustPanel(byId("adjust-panel"), byId("adjust"), () => [video, byId("picture")]);
const showOverlay = (on) => {
  byId("player-heat").hidden = !on || !byId("player-heat").hasAttribute("src");
  byId("drawing").classList.toggle("without-origin", !on);
  press(byId("overlay"), on);
};
const reveal = ({ heat = null, origin = null }) => {
  const picture = byId("player-heat");
  if (heat) picture.src = heat; else picture.removeAttribute("src");
  marks.origin = origin;
  byId("overlay").hidden = !heat && !origin;
  showOverlay(Boolean(heat || origin));
  drawMarks();
};

// ---- one clip after another

const onlyCannotTell = (on) => document.querySelectorAll("#judge input[name=judgement]:not([value=cannot_tell])").forEach((choice) => {
  choice.disabled = on;
  if (on) choice.checked = false;
});
const fault = (error) => {
  const damaged = !(error instanceof Unreachable);
  if (damaged) { aim.set(false); clip?.close(); clip = null; broken = video; }
  clock.pause();
  const cure = damaged ? " You can close the case as “cannot tell”." : "";
  byId("video-fault").textContent = `This clip cannot be shown${damaged ? "" : " now"}: ${error.message}.${cure}`;
  byId("video-fault").hidden = false;
  if (!damaged) return;
  onlyCannotTell(true);
  document.dispatchEvent(new CustomEvent("player:fault", { detail: error.message }));
};
// The cloud says whether the clip is damaged. Otherwise it is this browser that cannot play it: the frames are shown.
const videoFailed = async (failed, descriptor) => {
  if (failed !== video) return;
  clock.withoutVideo();
  try {
    const opened = await openClip(descriptor, "reload");
    if (failed !== video) return;
    if (!clip) { broken = null; onlyCannotTell(false); adopt(opened, []); }
    say("The video cannot be played here; the stored frames are shown instead");
    setView(view === "video" ? "frames" : view);
  } catch (error) {
    if (failed === video) fault(error);
  }
};
const adopt = (opened, known) => {
  const { size_px: size, times_s: times, whole: unbroken } = opened.about;
  clip = opened;
  pictures.load(opened);
  sight.size = size;
  clock.setTimes(times);
  marks.load(size, known, (frame) => times[frame]);
  byId("broken-off").hidden = unbroken;
};
const newVideo = (address) => {
  const made = video.cloneNode(false);
  for (const name of ["src", "autoplay", "style"]) made.removeAttribute(name);
  made.muted = true; // a clone forgets it
  made.preload = "auto";
  made.src = address;
  return made;
};
const take = (made, descriptor) => {
  const old = video;
  video = made;
  old.replaceWith(made);
  old.pause();
  old.removeAttribute("src");
  old.load();
  adjust.apply();
  made.addEventListener("error", () => videoFailed(made, descriptor));
};
// A task behind the frame that paints.
const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

const preload = (descriptor) => {
  if (next?.sha256 === descriptor.sha256) return next.done;
  next?.clip?.close();
  const mine = { sha256: descriptor.sha256, video: newVideo(descriptor.video), clip: null };
  mine.done = openClip(descriptor).then(async (opened) => { mine.clip = opened; await opened.load(0); });
  mine.done.catch(() => {}); // load says what is wrong
  next = mine;
  return mine.done;
};
const clear = () => {
  aim.set(false);
  clip?.close();
  clip = null;
  for (const id of ["video-fault", "missing", "broken-off"]) if (byId(id)) byId(id).hidden = true;
  stage.classList.remove("without-clip");
  onlyCannotTell(false);
  sight.reset();
  marks.clear();
  reveal({});
  pictures.hide("");
};
const load = async (descriptor) => {
  if (next?.sha256 !== descriptor.sha256) preload(descriptor);
  const mine = next;
  next = null;
  clear();
  take(mine.video, descriptor);
  covered = true;
  clock.load([0], video);
  if (video.error) videoFailed(video, descriptor); // it failed while it was preloaded
  if (!mine.clip?.grey(0)) await mine.done.catch((error) => { if (mine.video === video) fault(error); });
  if (mine.video !== video || broken === video || !mine.clip?.grey(0)) return;
  adopt(mine.clip, []);
  pictures.draw("frames", 0); // there before the video has begun
  setView(view);
  await painted();
  fetchAllLater(clip);
};
// Stored frames wait until the video is here: it is what the expert watches first.
const fetchAllLater = (opened) => {
  const fetchAll = () => { if (clip === opened) opened.loadAll().catch(() => {}); };
  if (video.readyState >= 4) fetchAll(); else video.addEventListener("canplaythrough", fetchAll, { once: true });
};
const begin = async (descriptor, known) => {
  const first = video;
  first.addEventListener("error", () => videoFailed(first, descriptor));
  clock.load([0], first);
  if (first.error) { await videoFailed(first, descriptor); return; }
  try {
    const opened = await openClip(descriptor);
    if (clip || first !== video || broken === video) return;
    adopt(opened, known);
    setView(view);
    fetchAllLater(opened);
  } catch (error) {
    if (first === video) fault(error);
  }
};
const reset = () => {
  aim.set(false);
  sight.reset();
  marks.clear();
  clock.clearLoop();
  clock.setSpeed(1);
  adjust.reset();
  setView("video");
};

// ---- hands

const nextView = () => {
  setView(VIEWS[(VIEWS.indexOf(view) + 1) % VIEWS.length]);
  say(byId(`view-${view}`).dataset.words);
};
const toggleOverlay = () => { if (!byId("overlay").hidden) showOverlay(byId("overlay").getAttribute("aria-pressed") !== "true"); };
const { keys, clicks } = hands({
  clock,
  aim,
  sight,
  say,
  setLoop,
  clearLoop,
  nextView,
  toggleOverlay,
  toggleAim: () => (byId("mark") && clip ? aim.set(!aim.on) : false),
  togglePanel: adjust.toggle,
  showKeys: () => byId("keys").showModal(),
});
const wire = () => {
  for (const [id, action] of Object.entries(clicks)) byId(id)?.addEventListener("click", action);
  all("[data-view]").forEach((button) => button.addEventListener("click", () => setView(button.dataset.view)));
  all("[data-speed]").forEach((button) => button.addEventListener("click", () => clock.setSpeed(Number(button.dataset.speed))));
  byId("seek").addEventListener("input", ({ target }) => { if (clock.playing) clock.pause(); clock.show(Number(target.value)); });
  byId("player-heat").addEventListener("error", () => reveal({ origin: marks.origin }));
  const whereShown = (action) => () => !stage.classList.contains("without-clip") && action();
  const shown = Object.entries(keys).map(([key, action]) => [key, key === "?" ? action : whereShown(action)]);
  listen(Object.fromEntries(shown), byId("keys"));
};
const lookAgain = () => {
  const form = byId("judge");
  const begun = form?.querySelector(":checked") || form?.elements.note?.value;
  if (begun) setTimeout(lookAgain, LOOK_AGAIN_MS); else location.reload();
};

wire();
window.tankwatchPlayer = { load, preload, reveal, reset, marks: () => marks.list() };
if (stage.dataset.revealed) reveal(JSON.parse(stage.dataset.revealed));
if (stage.dataset.clip) begin(JSON.parse(stage.dataset.clip), JSON.parse(stage.dataset.marks));
if (stage.querySelector("[data-waiting]")) setTimeout(lookAgain, LOOK_AGAIN_MS);
