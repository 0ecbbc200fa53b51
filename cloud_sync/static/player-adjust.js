// The panel for brightness and contrast: a filter over the pictures, never over marks; it stays from case to case.

const AS_RECORDED = "100";
const NAMES = ["brightness", "contrast"];

// `pictures()`: the elements that are filtered now. Gives { apply, toggle, reset }.
export const adjustPanel = (panel, button, pictures) => {
  const slider = (name) => panel.querySelector(`#${name}`);
  let before = null;
  const apply = () => {
    const values = NAMES.map((name) => slider(name).value);
    const filter = values.every((value) => value === AS_RECORDED) ? "" : `brightness(${values[0]}%) contrast(${values[1]}%)`;
    for (const picture of pictures()) picture.style.filter = filter;
    for (const name of NAMES) panel.querySelector(`#${name}-now`).textContent = `${slider(name).value} %`;
  };
  const toggle = () => {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (panel.hidden) before?.focus();
    else { before = document.activeElement; slider("brightness").focus(); }
  };
  const reset = () => {
    for (const name of NAMES) slider(name).value = AS_RECORDED;
    apply();
  };
  for (const name of NAMES) slider(name).addEventListener("input", apply);
  panel.querySelector("#adjust-reset").addEventListener("click", reset);
  return { apply, toggle, reset };
};
