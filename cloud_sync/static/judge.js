// The judgement by keyboard: L O C, then a number for what is seen, F or U, T for the note, Enter submits.
// The form may be exchanged for the next case's (desk.js), so it is looked up each time.

const WORDS = { l: "leak", o: "ok", c: "cannot_tell" };
const FAMILIAR = { f: "yes", u: "no" };

const form = () => document.getElementById("judge");
const chosen = (name) => form().querySelector(`input[name="${name}"]:checked:not(:disabled)`);
const pick = (input) => {
  if (!input || input.disabled || input.closest("fieldset").disabled) return;
  input.checked = true;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};
const choose = (name, value) => pick(form().querySelector(`input[name="${name}"][value="${value}"]`));
const pickKind = (number) => pick(form().querySelector(".kinds:not([hidden])")?.querySelectorAll("input")[number - 1]);

export const say = (text) => {
  const fault = document.getElementById("fault");
  fault.textContent = text;
  fault.hidden = !text;
};
export const missing = () => {
  const can = form().querySelector("input[name=judgement][value=leak]");
  if (!chosen("judgement")) return can ? "Choose leak (L), ok (O) or cannot tell (C)." : "Choose cannot tell (C): there is no video.";
  const asked = form().querySelector(".familiar:not([hidden])");
  return asked && !chosen("familiar") ? "Say whether this is familiar (F) or unfamiliar (U)." : "";
};
export const showQuestions = () => {
  if (!form()) return;
  const word = chosen("judgement")?.value;
  form().noValidate = true; // our own words say which key is missing
  form().querySelectorAll("[data-for]").forEach((part) => {
    const wanted = Boolean(word) && part.dataset.for.split(" ").includes(word);
    part.hidden = !wanted;
    part.disabled = !wanted;
  });
};

document.addEventListener("change", (event) => {
  if (!event.target.closest("#judge")) return;
  if (event.target.name === "judgement") showQuestions();
  say("");
});
window.addEventListener("pageshow", showQuestions);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !form() || event.target.closest("dialog")) return;
  if (event.target.id === "note") {
    if (event.key === "Escape") event.target.blur();
    else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); form().requestSubmit(); }
    return;
  }
  const key = event.key.toLowerCase();
  if (key in WORDS) choose("judgement", WORDS[key]);
  else if (key in FAMILIAR) choose("familiar", FAMILIAR[key]);
  else if (key === "t") { event.preventDefault(); document.getElementById("note").focus(); }
  else if (/^[1-9]$/.test(key)) pickKind(Number(key));
  else if (event.key === "Enter" && !event.target.matches("a, button, summary")) { event.preventDefault(); form().requestSubmit(); }
});
showQuestions();
