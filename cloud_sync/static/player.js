// The video's controls: space, `,` `.` one frame, `[` `]` speed. Frames are stepped by their real times.
"use strict";

const SPEEDS = [0.25, 0.5, 1, 2];
const LOOK_AGAIN_MS = 5000;
const video = document.getElementById("video");

if (document.querySelector("[data-waiting]")) setTimeout(() => location.reload(), LOOK_AGAIN_MS);

if (video) {
  const byId = (id) => document.getElementById(id);
  let times = [];
  fetch(video.dataset.times).then((answer) => answer.ok ? answer.json() : []).then((found) => { times = found; }).catch(() => {});

  const frameAt = (second) => {
    let frame = times.findIndex((time) => time > second + 1e-4) - 1;
    if (frame === -2) frame = times.length - 1;
    return Math.max(frame, 0);
  };
  const middle = (frame) => {
    const next = frame + 1 < times.length ? times[frame + 1] : Math.max(video.duration, times[frame] + 0.02);
    return (times[frame] + next) / 2;
  };
  const step = (by) => {
    video.pause();
    if (!times.length) return;
    const frame = (frameAt(video.currentTime) + by + times.length) % times.length;
    video.currentTime = Math.min(middle(frame), video.duration);
  };
  const toggle = () => { if (video.paused) video.play(); else video.pause(); };
  const setSpeed = (speed) => {
    video.playbackRate = speed;
    document.querySelectorAll("[data-speed]").forEach((button) => {
      button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === speed));
    });
  };
  const faster = (by) => {
    const at = SPEEDS.indexOf(video.playbackRate) + by;
    if (at >= 0 && at < SPEEDS.length) setSpeed(SPEEDS[at]);
  };
  const show = () => {
    if (!Number.isFinite(video.duration)) return;
    byId("seek").value = String(Math.round(1000 * video.currentTime / video.duration));
    byId("clock").textContent = `${video.currentTime.toFixed(1)} s`;
  };
  const showState = () => {
    byId("play").setAttribute("aria-pressed", String(!video.paused));
    byId("play-word").textContent = video.paused ? "Play" : "Pause";
  };

  byId("back").addEventListener("click", () => step(-1));
  byId("on").addEventListener("click", () => step(1));
  byId("play").addEventListener("click", toggle);
  byId("seek").addEventListener("input", (event) => { video.pause(); video.currentTime = video.duration * event.target.value / 1000; });
  document.querySelectorAll("[data-speed]").forEach((button) => button.addEventListener("click", () => setSpeed(Number(button.dataset.speed))));
  ["timeupdate", "seeked", "loadedmetadata"].forEach((name) => video.addEventListener(name, show));
  ["play", "pause"].forEach((name) => video.addEventListener(name, showState));
  video.addEventListener("error", () => { byId("video-fault").hidden = false; });
  video.play().catch(showState);

  const KEYS = { " ": toggle, ",": () => step(-1), ".": () => step(1), "[": () => faster(-1), "]": () => faster(1) };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("textarea, input:not([type=radio]):not([type=checkbox]):not([type=range])");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    if (event.key === " " && event.target.matches("button, a, summary")) return;
    event.preventDefault();
    KEYS[event.key]();
  });
}
