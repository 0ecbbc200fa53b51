// Keys -> what the player does. Fields and choices keep the keys that they need, and single keys can be switched off.

const OFF = "tankwatch-keys-off";
const TEXT = "textarea, select, input:not([type=radio], [type=checkbox], [type=range])";

// `actions`: key (as KeyboardEvent.key, letters small, "Shift+" before it) -> function; one that answers false did nothing.
export const listen = (actions, dialog) => {
  let byHand = false; // the last choice was made with mouse or finger: its field does not need the arrows
  addEventListener("pointerdown", () => { byHand = true; }, true);
  addEventListener("keydown", (event) => {
    if (event.key === "Tab") byHand = false;
    if (dialog.open || event.ctrlKey || event.metaKey || event.altKey || event.target.matches(TEXT)) return;
    if (silenced(event)) { event.stopImmediatePropagation(); return; }
    const action = actions[name(event)];
    if (!action || keptBy(event, byHand) || action() === false) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  switchIn(dialog);
};

const name = ({ key, shiftKey }) => {
  if (key.length === 1) return key.toLowerCase();
  return shiftKey ? `Shift+${key}` : key;
};

// People who dictate or press keys by chance can do without letters (WCAG 2.1.4); what is not a letter stays.
const silenced = ({ key }) => key.length === 1 && key !== " " && localStorage.getItem(OFF) === "1";

// By keyboard alone, a button keeps space and Enter, and a choice its arrows.
const keptBy = ({ key, target }, byHand) => {
  const used = key === " " || key === "Enter" || key.startsWith("Arrow");
  if (target.matches(".adjust input")) return key.startsWith("Arrow");
  if (byHand || !used) return false;
  if (target.matches("button, a, summary")) return !key.startsWith("Arrow");
  return target.matches("input[type=radio], input[type=checkbox]") && key !== "Enter";
};

const switchIn = (dialog) => {
  const box = dialog.querySelector("#single-keys");
  box.checked = localStorage.getItem(OFF) !== "1";
  box.addEventListener("change", () => localStorage.setItem(OFF, box.checked ? "0" : "1"));
};
