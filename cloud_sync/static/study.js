// An appraiser's trial by keyboard: L O C choose, Enter submits. The player has first say over its own keys.
"use strict";

const trial = document.getElementById("trial");
const lack = document.getElementById("fault");
const WORDS = { l: "leak", o: "ok", c: "cannot_tell" };

trial.noValidate = true; // our own words say which key is missing
trial.addEventListener("change", () => { lack.hidden = true; });
trial.addEventListener("submit", (event) => {
  if (trial.querySelector("input[name=judgement]:checked")) { trial.querySelector(".primary").disabled = true; return; }
  event.preventDefault();
  lack.textContent = "Choose leak (L), ok (O) or cannot tell (C).";
  lack.hidden = false;
});
window.addEventListener("pageshow", () => { trial.querySelector(".primary").disabled = false; });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const input = trial.querySelector(`input[value="${WORDS[event.key.toLowerCase()]}"]`);
  if (input) { input.checked = true; lack.hidden = true; }
  else if (event.key === "Enter" && !event.target.matches("a, button, summary")) { event.preventDefault(); trial.requestSubmit(); }
});
