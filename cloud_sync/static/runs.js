// While a run is open its page looks again by itself. That is nobody's doing: the header says so.
"use strict";

const LOOK_AGAIN_MS = 5000;

setInterval(async () => {
  const busy = document.hidden || !document.activeElement?.matches("body, main") || !document.querySelector("[data-open]");
  if (busy) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Tankwatch-Background": "1" } });
    if (answer.redirected || !answer.ok) { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("main").replaceChildren(...document.importNode(page.getElementById("main"), true).childNodes);
  } catch { /* the server will be back */ }
}, LOOK_AGAIN_MS);
