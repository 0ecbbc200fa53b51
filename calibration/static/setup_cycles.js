// Where the inspection stands with the profile, and each real cycle as soon as its case is made.

import { poll, put } from "./setup_live.js";

const standing = document.getElementById("standing");
const real = document.getElementById("real");
const PHASES = {
  "": "the inspection looks",
  empty: "the tank is empty",
  entering: "a unit goes in",
  watching: "a unit is watched",
  decided: "the lamp was read: take the unit out",
  leaving: "the unit comes out",
};

function line(one) {
  const shown = document.createElement("li");
  shown.className = one.good ? "good" : "bad";
  shown.append(Object.assign(document.createElement("b"), { textContent: one.good ? "✓ watched" : "✗ not whole" }));
  shown.append(` ${one.usable_s} s, lamp ${one.decision}`);
  if (one.words) shown.append(document.createElement("br"), one.words);
  return shown;
}

poll(
  () => standing.dataset.url,
  1000,
  (news) => {
    if (news.fault) {
      standing.dataset.tone = "bad";
      put("standing", news.fault);
      return;
    }
    standing.dataset.tone = news.standing.well ? "good" : "wait";
    put("standing", news.standing.words);
    if (!real) return;
    put("phase", PHASES[news.phase] ?? news.phase);
    if (news.real.length === real.children.length) return;
    const wasEnough = real.querySelectorAll(".good").length >= Number(real.dataset.wanted);
    real.replaceChildren(...news.real.map(line));
    document.getElementById("waiting").hidden = news.real.length > 0;
    if (!wasEnough && news.good >= Number(real.dataset.wanted)) location.reload();
  },
);
