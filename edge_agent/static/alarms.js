// The page is loaded again when something has changed; while somebody fills in a form it only says so.
"use strict";
const EVERY_MS = 2000;
const alarms = document.getElementById("alarms");

function isBusy() {
  return document.querySelector("details[open]") !== null || document.activeElement?.matches("input, select");
}

async function look() {
  try {
    const answer = await fetch(alarms.dataset.address, { headers: { "X-Tankwatch-Background": "1" } });
    const { stamp } = await answer.json();
    if (stamp === alarms.dataset.stamp) return;
    if (isBusy()) document.getElementById("changed").hidden = false;
    else location.reload();
  } catch {
    // A panel that is away is asked again.
  }
}

setInterval(look, EVERY_MS);
