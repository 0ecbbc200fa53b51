// After the judgement: the ring where the machine places the leak, the heat map on and off, and on to the next case.
"use strict";

const RING = 0.03;
const heat = document.getElementById("heat");
const showHeat = document.getElementById("show-heat");

const place = (mark, width, height) => {
  if (!width || !height) return;
  mark.setAttribute("viewBox", `0 0 ${width} ${height}`);
  mark.setAttribute("preserveAspectRatio", "xMidYMid meet");
  const circle = mark.querySelector("circle");
  circle.setAttribute("cx", mark.dataset.x);
  circle.setAttribute("cy", mark.dataset.y);
  circle.setAttribute("r", String(RING * Math.max(width, height)));
};
document.querySelectorAll("svg.mark").forEach((mark) => {
  const picture = mark.parentElement.querySelector("video, #composite");
  const now = () => place(mark, picture.videoWidth || picture.naturalWidth, picture.videoHeight || picture.naturalHeight);
  ["load", "loadedmetadata"].forEach((name) => picture.addEventListener(name, now));
  now();
});
showHeat?.addEventListener("change", () => { heat.hidden = !showHeat.checked; });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "h" && showHeat) { showHeat.click(); return; }
  if (key === "n" || (key === "enter" && !event.target.matches("a, button, summary"))) {
    event.preventDefault();
    document.getElementById("next").click();
  }
});
