// Keeps the address short, copies the permanent link, and says what UTC is in the browser's own zone.
"use strict";

const form = document.getElementById("search");
const permanent = document.getElementById("permanent");
const copy = document.getElementById("copy");
const zone = document.getElementById("zone");

form.addEventListener("submit", () => {
  for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of form.elements) field.disabled = false;
});

if (permanent && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(permanent.href);
    document.getElementById("copied").textContent = "copied";
  });
}

function local(field) {
  const moment = new Date(`${field.value}Z`);
  return Number.isNaN(moment.getTime()) ? "" : moment.toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
}

function say() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone || "your own zone";
  const minutes = -new Date().getTimezoneOffset();
  const clock = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((part) => String(part).padStart(2, "0")).join(":");
  const times = ["from", "until"].map((id) => local(document.getElementById(id)));
  const there = times.some(Boolean) ? ` There: ${times.map((text) => text || "open").join(" to ")}.` : "";
  zone.textContent = `Times are UTC. Your clock: ${name}, now UTC${minutes < 0 ? "−" : "+"}${clock}.${there}`;
  zone.hidden = false;
}

for (const id of ["from", "until"]) document.getElementById(id).addEventListener("input", say);
say();
