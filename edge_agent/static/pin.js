// The keypad for gloves: digits go into the field, as typed ones do. And the seconds that are to be waited go by.
"use strict";
const field = document.getElementById("pin");
const keypad = document.querySelector(".keypad");
keypad.hidden = false;
keypad.addEventListener("click", (event) => {
  const key = event.target.closest("button");
  if (!key) return;
  if (key.dataset.digit) field.value += key.dataset.digit;
  else if ("back" in key.dataset) field.value = field.value.slice(0, -1);
  else field.value = "";
});

const wait = document.querySelector("[data-wait]");
if (wait) {
  const until = performance.now() + Number(wait.dataset.wait) * 1000;
  const line = wait.parentElement;
  const before = line.firstChild.textContent;
  const timer = setInterval(() => {
    const left = Math.ceil((until - performance.now()) / 1000);
    line.firstChild.textContent = left > 0 ? before.replace(wait.dataset.wait, left) : "";
    if (left > 0) return;
    wait.textContent = wait.dataset.over;
    clearInterval(timer);
  }, 1000);
}
