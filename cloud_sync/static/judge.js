// The judgement by keyboard: L O C, then a number for what is seen, F or U, T for the note, Enter submits.
"use strict";

const form = document.getElementById("judge");
const fault = document.getElementById("fault");
const note = document.getElementById("note");
const WORDS = { l: "leak", o: "ok", c: "cannot_tell" };
const FAMILIAR = { f: "yes", u: "no" };

const chosen = (name) => form.querySelector(`input[name="${name}"]:checked:not(:disabled)`);
const choose = (name, value) => {
  const input = form.querySelector(`input[name="${name}"][value="${value}"]`);
  if (!input || input.disabled || input.closest("fieldset").disabled) return;
  input.checked = true;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};
const say = (text) => { fault.textContent = text; fault.hidden = !text; };

const showQuestions = () => {
  const word = chosen("judgement")?.value;
  form.querySelectorAll("[data-for]").forEach((part) => {
    const wanted = Boolean(word) && part.dataset.for.split(" ").includes(word);
    part.hidden = !wanted;
    part.disabled = !wanted;
  });
};
const missing = () => {
  const word = chosen("judgement")?.value;
  if (!word) return "Choose leak (L), ok (O) or cannot tell (C).";
  const asked = form.querySelector(".familiar:not([hidden])");
  return asked && !chosen("familiar") ? "Say whether this is familiar (F) or unfamiliar (U)." : "";
};
const pickKind = (number) => {
  const kinds = form.querySelector(".kinds:not([hidden])");
  const input = kinds?.querySelectorAll("input")[number - 1];
  if (input) { input.checked = true; input.dispatchEvent(new Event("change", { bubbles: true })); }
};

form.noValidate = true; // our own words say which key is missing
form.addEventListener("change", (event) => {
  if (event.target.name === "judgement") showQuestions();
  say("");
});
form.addEventListener("submit", (event) => {
  const text = missing();
  if (text) { event.preventDefault(); say(text); return; }
  form.querySelector("button.primary").disabled = true;
});
window.addEventListener("pageshow", () => { form.querySelector("button.primary").disabled = false; showQuestions(); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === note) {
    if (event.key === "Escape") note.blur();
    else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); form.requestSubmit(); }
    return;
  }
  const key = event.key.toLowerCase();
  if (key in WORDS) choose("judgement", WORDS[key]);
  else if (key in FAMILIAR) choose("familiar", FAMILIAR[key]);
  else if (key === "t") { event.preventDefault(); note.focus(); }
  else if (/^[1-9]$/.test(key)) pickKind(Number(key));
  else if (event.key === "Enter" && !event.target.matches("a, button, summary")) { event.preventDefault(); form.requestSubmit(); }
});
