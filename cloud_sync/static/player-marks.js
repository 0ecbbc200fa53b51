// Where an expert says a bubble comes from: points in tank view pixels, each with its frame, drawn and sent with the form.

const SVG = "http://www.w3.org/2000/svg";
const RING_PX = 11; // on the screen, whatever the zoom
const MOST = 40;

export class Marks {
  // `drawing`: the svg over the picture. `field`: the hidden input that the form sends.
  constructor(drawing, field, changed) {
    this._drawing = drawing;
    this._field = field;
    this._changed = changed;
    this._kept = [];
    this.aiming = false;
    this.cross = [0, 0];
    this.origin = null; // what the machine says, after the reveal only
  }

  load(size, marks, timeOf) {
    this.size = size;
    this._timeOf = timeOf;
    this._kept = marks.map(([x, y, frame]) => ({ x_px: x, y_px: y, frame }));
    this.cross = [size[0] / 2, size[1] / 2].map(Math.round);
    this._drawing.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    this._tell();
  }

  list() { return this._kept.map((mark) => ({ ...mark, time_s: this._timeOf(mark.frame) })); }

  add(x, y, frame) {
    if (this._kept.length >= MOST) return false;
    const [x_px, y_px] = [within(x, this.size[0]), within(y, this.size[1])].map((at) => Math.round(at * 10) / 10);
    this._kept.push({ x_px, y_px, frame });
    this._tell();
    return true;
  }

  takeBack() {
    const last = this._kept.pop();
    this._tell();
    return last;
  }

  clear() { this._kept = []; this._tell(); }

  moveCross(right, down) {
    this.cross = [within(this.cross[0] + right, this.size[0]), within(this.cross[1] + down, this.size[1])];
  }

  // `scale`: screen pixels for each pixel of the tank view.
  draw(scale) {
    const ring = RING_PX / scale;
    this._drawing.style.setProperty("--px", `${1 / scale}px`);
    const shapes = this._kept.flatMap((mark, at) => numbered(mark, at + 1, ring));
    if (this.origin) shapes.push(shape("circle", { class: "origin", cx: this.origin[0] + 0.5, cy: this.origin[1] + 0.5, r: 1.7 * ring }));
    if (this.aiming) shapes.push(...crossHair(this.cross, ring, this.size));
    this._drawing.replaceChildren(...shapes);
  }

  _tell() {
    if (this._field) this._field.value = JSON.stringify(this.list());
    this._changed();
  }
}

// The middle of the outermost pixel is as far as a mark goes.
const within = (at, side) => Math.min(Math.max(at, 0), side - 1);

const shape = (name, attributes, text = "") => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};

// Pixel 0 reaches from 0 to 1 in the drawing, and its middle is 0 in the tank view.
const numbered = ({ x_px: x, y_px: y }, number, ring) => [
  shape("circle", { class: "bubble-halo", cx: x + 0.5, cy: y + 0.5, r: ring }),
  shape("circle", { class: "bubble", cx: x + 0.5, cy: y + 0.5, r: ring }),
  shape("circle", { class: "dot", cx: x + 0.5, cy: y + 0.5, r: ring / 6 }),
  shape("text", { x: x + 0.5 + 1.2 * ring, y: y + 0.5 - 0.6 * ring, "font-size": 1.3 * ring }, String(number)),
];

const crossHair = ([x, y], ring, [width, height]) => {
  const [left, top] = [x + 0.5, y + 0.5];
  const lines = [[0, top, left - ring / 2, top], [left + ring / 2, top, width, top], [left, 0, left, top - ring / 2], [left, top + ring / 2, left, height]];
  return lines.flatMap(([x1, y1, x2, y2]) => ["cross-halo", "cross"].map((name) => shape("line", { class: name, x1, y1, x2, y2 })));
};
