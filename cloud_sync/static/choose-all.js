"use strict";
// One box ticks them all; without scripts it stays hidden.
const all = document.getElementById("all");
if (all) {
  all.hidden = false;
  all.addEventListener("change", () => { document.querySelectorAll("input[name=case]").forEach((box) => { box.checked = all.checked; }); });
}
