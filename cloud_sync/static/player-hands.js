// What each key and each button does, in one table; the names are those of KeyboardEvent.key and of the buttons' ids.

const PAN = 1 / 8; // of the screen
const ZOOM = 1.25;
const FAR = 10;
const ARROWS = { Left: [-1, 0], Right: [1, 0], Up: [0, -1], Down: [0, 1] };

// `player`: the parts and verbs that hands reach for. An action that answers false leaves the key to the page.
export const hands = (player) => {
  const { clock, aim, sight, say, setLoop, clearLoop } = player;
  const zoomBy = (factor) => { sight.zoomBy(factor); say(`Zoom ${sight.zoom.toFixed(1)}`); };
  const whole = () => { sight.reset(); say("Whole picture"); };
  const whileAiming = (action) => () => { if (!aim.on) return false; action(); return true; };
  const arrow = (right, down, by) => () => {
    if (aim.on) aim.move(right * by, down * by);
    else if (right) clock.step(right * by);
    else if (by === 1) clock.faster(-down);
    else return false;
    return true;
  };
  const keys = {
    " ": () => clock.toggle(),
    ",": () => clock.step(-1),
    ".": () => clock.step(1),
    "[": () => clock.faster(-1),
    "]": () => clock.faster(1),
    a: () => setLoop("from"),
    b: () => setLoop("to"),
    x: clearLoop,
    v: player.nextView,
    "+": () => zoomBy(ZOOM),
    "=": () => zoomBy(ZOOM),
    "-": () => zoomBy(1 / ZOOM),
    0: whole,
    w: () => sight.panBy(0, -PAN),
    s: () => sight.panBy(0, PAN),
    q: () => sight.panBy(-PAN, 0),
    e: () => sight.panBy(PAN, 0),
    g: player.togglePanel,
    m: player.toggleAim,
    h: () => { player.toggleOverlay(); return false; }, // the page's own heat map hears it, too
    "?": player.showKeys,
    Enter: whileAiming(() => aim.addCross()),
    Backspace: whileAiming(() => aim.takeBack()),
    Escape: whileAiming(() => aim.set(false)),
  };
  for (const [name, [right, down]] of Object.entries(ARROWS)) {
    keys[`Arrow${name}`] = arrow(right, down, 1);
    keys[`Shift+Arrow${name}`] = arrow(right, down, FAR);
  }
  const clicks = {
    back: keys[","],
    play: keys[" "],
    on: keys["."],
    "loop-from": keys.a,
    "loop-to": keys.b,
    "loop-clear": clearLoop,
    "zoom-in": keys["+"],
    "zoom-out": keys["-"],
    "zoom-off": whole,
    mark: player.toggleAim,
    "mark-back": () => aim.takeBack(),
    adjust: player.togglePanel,
    overlay: player.toggleOverlay,
    help: player.showKeys,
  };
  return { keys, clicks };
};
