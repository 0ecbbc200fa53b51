// Enter starts; an open queue looks again by itself, because new cases arrive on their own. That is nobody's doing: the
// header says so, and the session ends in its time all the same.
"use strict";

const LOOK_AGAIN_MS = 10000;

document.addEventListener("keydown", (event) => {
  const start = document.getElementById("start");
  if (event.key === "Enter" && start && event.target.matches("body, main")) start.click();
});
setInterval(async () => {
  const busy = document.hidden || !document.getElementById("after")?.hidden || !document.activeElement?.matches("body, main");
  if (busy) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Tankwatch-Background": "1" } });
    if (answer.redirected || !answer.ok) { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("main").replaceChildren(...document.importNode(page.getElementById("main"), true).childNodes);
  } catch { /* the server will be back */ }
}, LOOK_AGAIN_MS);
