// From one case to the next without a wait: the judgement goes by fetch, the next case lies ready. Z takes the last
// judgement back, R shows what others said, Enter goes on where there is nothing to judge.

import { missing, say, showQuestions } from "./judge.js";

const SAID = { leak: "leak", ok: "OK", cannot_tell: "cannot tell" };
const byId = (id) => document.getElementById(id);
let coming = null; // the next case's page: {address, page, clip}
let begun = performance.now();
let left = null; // timer of the countdown

// ---- what was judged last

const countDown = (seconds) => {
  clearInterval(left);
  const until = performance.now() + 1000 * seconds;
  const tick = () => {
    const rest = Math.ceil((until - performance.now()) / 1000);
    byId("after-left").textContent = rest > 0 ? `${rest} s` : "";
    byId("undo").hidden = rest <= 0;
    if (rest <= 0) clearInterval(left);
  };
  tick();
  left = setInterval(tick, 250);
};
const tell = (judged) => {
  byId("after-words").replaceChildren("Judged: ", Object.assign(document.createElement("b"), { textContent: SAID[judged.judgement] }), ".");
  byId("undo").action = judged.undo;
  byId("reveal").action = judged.reveal;
  byId("after").hidden = false;
  countDown(judged.left_s);
};

// ---- the next case

const prepare = async () => {
  const form = byId("judge");
  coming = null;
  try {
    const answer = await fetch(form.dataset.next, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const clip = page.getElementById("player")?.dataset.clip;
    const found = { address: answer.url, page, clip: clip ? JSON.parse(clip) : null };
    if (found.clip) await window.tankwatchPlayer.preload(found.clip);
    if (byId("judge") === form) coming = found;
  } catch { /* the way by plain pages stays open */ }
};
const exchange = (id) => {
  const fresh = document.importNode(coming.page.querySelector(id), true);
  document.querySelector(id).replaceWith(fresh);
};
const goOn = async (judged) => {
  const here = document.querySelector("#player:not(.without-clip)");
  if (!coming?.clip || !here || !coming.page.getElementById("judge")) {
    location.assign(`${byId("judge").dataset.next}&judged=${encodeURIComponent(judged.case_id)}`);
    return;
  }
  const { address, page, clip } = coming;
  const picture = window.tankwatchPlayer.load(clip);
  exchange("#judge");
  exchange("#player .about");
  document.title = page.title;
  history.pushState(null, "", address);
  tell(judged);
  await picture;
  begun = performance.now();
  document.dispatchEvent(new CustomEvent("desk:next", { detail: address }));
  document.querySelector("main").focus({ preventScroll: true });
  prepare();
};

// ---- the judgement

const freshToken = async () => {
  const answer = await fetch("/session", { headers: { Accept: "application/json" } });
  const token = answer.ok && (await answer.json()).csrf_token;
  if (token) document.querySelectorAll("input[name=csrf_token]").forEach((input) => { input.value = token; });
  return Boolean(token);
};
const send = async (form) => {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
  const said = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  return { answer, said };
};
const sayEnded = () => {
  say("Your session has ended. Nothing is lost: ");
  const link = Object.assign(document.createElement("a"), { href: "/login?next=/signed-in", target: "_blank", textContent: "sign in in another tab" });
  link.addEventListener("click", () => link.blur()); // or Enter would open it once more
  byId("fault").append(link, ", come back and press Enter.");
};
const submit = async (form) => {
  form.elements.took_ms.value = String(Math.round(performance.now() - begun));
  const button = form.querySelector("button.primary");
  button.disabled = true;
  try {
    let { answer, said } = await send(form);
    if (said.error?.code === "csrf" && (await freshToken())) ({ answer, said } = await send(form));
    if (answer.status === 401 || answer.redirected) sayEnded();
    else if (!answer.ok) say(said.error?.words ?? `The server answered ${answer.status}. Nothing is lost: press Enter to try again.`);
    else { await goOn(said); return; }
  } catch {
    say("The server cannot be reached. Nothing is lost: press Enter to try again.");
  }
  button.disabled = false;
};

if (byId("judge")) {
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "judge") return;
    event.preventDefault();
    const text = missing();
    if (text) say(text); else submit(event.target);
  });
  document.addEventListener("desk:next", showQuestions);
  window.addEventListener("popstate", () => location.reload());
  prepare();
}
if (byId("after") && !byId("after").hidden) countDown(Number(byId("after").dataset.left));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.target.matches("textarea, input, select")) return;
  const key = event.key.toLowerCase();
  const wanted = { z: byId("undo"), r: byId("reveal") }[key];
  if (wanted && !wanted.hidden && !wanted.closest("[hidden]")) { event.preventDefault(); wanted.requestSubmit(); }
  if (key === "enter" && !byId("judge") && byId("next") && event.target === document.body) byId("next").click();
});
