// Enter starts; an open queue looks again by itself, because new cases arrive on their own.
"use strict";

const LOOK_AGAIN_MS = 10000;

document.addEventListener("keydown", (event) => {
  const start = document.getElementById("start");
  if (event.key === "Enter" && start && event.target === document.body) start.click();
});
setInterval(() => {
  if (!document.hidden && (document.activeElement === document.body || !document.activeElement)) location.reload();
}, LOOK_AGAIN_MS);
