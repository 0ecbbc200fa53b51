// Zoom and pan by wheel, drag, pinch and key; and places on the screen <-> pixels of the tank view.

const MOST = 8;
const WHEEL = 1.0015;
const STILL_PX = 5; // a hand that moves less has tapped

export class Sight {
  // `screen` is the frame around `sheet`, which holds the pictures. `tapped(x, y)`: tank view pixels.
  constructor(screen, sheet, { tapped, changed }) {
    this._screen = screen;
    this._sheet = sheet;
    this._tapped = tapped;
    this._changed = () => {};
    this._fingers = new Map();
    this.size = [1, 1];
    this.reset();
    this._changed = changed;
    screen.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    screen.addEventListener("pointerdown", (event) => this._down(event));
    screen.addEventListener("pointermove", (event) => this._move(event));
    for (const name of ["pointerup", "pointercancel"]) screen.addEventListener(name, (event) => this._up(event));
    new ResizeObserver(() => this._apply()).observe(screen);
  }

  reset() { this.zoom = 1; this._x = 0; this._y = 0; this._apply(); }

  // `at`: place on the page that stays where it is; by default the middle.
  zoomBy(factor, at) {
    const box = this._screen.getBoundingClientRect();
    const [x, y] = at ? [at[0] - box.left, at[1] - box.top] : [box.width / 2, box.height / 2];
    const zoom = Math.min(MOST, Math.max(1, this.zoom * factor));
    this._x = x - (x - this._x) * zoom / this.zoom;
    this._y = y - (y - this._y) * zoom / this.zoom;
    this.zoom = zoom;
    this._apply();
  }

  // Shares of the screen.
  panBy(right, down) { this._shift(-right * this._screen.clientWidth, -down * this._screen.clientHeight); }

  // Place on the page -> [x, y] in tank view pixels, whole numbers at the middle of a pixel; null outside the picture.
  toPicture(clientX, clientY) {
    const { left, top, scale } = this._fit();
    const [x, y] = [(clientX - left) / scale - 0.5, (clientY - top) / scale - 0.5];
    const inside = x >= -0.5 && y >= -0.5 && x <= this.size[0] - 0.5 && y <= this.size[1] - 0.5;
    return inside ? [x, y] : null;
  }

  // The opposite.
  toPage(x, y) {
    const { left, top, scale } = this._fit();
    return [left + (x + 0.5) * scale, top + (y + 0.5) * scale];
  }

  // Page pixels for each pixel of the tank view.
  get scale() { return this._fit().scale; }

  // Moves as little as is needed for a place to be on the screen.
  reveal(x, y) {
    const box = this._screen.getBoundingClientRect();
    const [pageX, pageY] = this.toPage(x, y);
    const out = (at, low, high) => Math.min(0, at - low) + Math.max(0, at - high);
    this._shift(-out(pageX, box.left + 20, box.right - 20), -out(pageY, box.top + 20, box.bottom - 20));
  }

  _fit() {
    const box = this._sheet.getBoundingClientRect();
    const scale = Math.min(box.width / this.size[0], box.height / this.size[1]) || 1;
    return { scale, left: box.left + (box.width - scale * this.size[0]) / 2, top: box.top + (box.height - scale * this.size[1]) / 2 };
  }

  _shift(x, y) { this._x += x; this._y += y; this._apply(); }

  _apply() {
    const [width, height] = [this._screen.clientWidth, this._screen.clientHeight];
    this._x = Math.min(0, Math.max(width * (1 - this.zoom), this._x));
    this._y = Math.min(0, Math.max(height * (1 - this.zoom), this._y));
    this._sheet.style.transform = `translate(${this._x}px, ${this._y}px) scale(${this.zoom})`;
    this._screen.classList.toggle("zoomed", this.zoom > 1);
    this._changed();
  }

  _wheel(event) {
    event.preventDefault();
    this.zoomBy(WHEEL ** -event.deltaY, [event.clientX, event.clientY]);
  }

  _down(event) {
    if (event.button !== 0 || event.target.closest("button, a")) return;
    this._fingers.set(event.pointerId, [event.clientX, event.clientY]);
    this._screen.setPointerCapture(event.pointerId);
    this._way = this._fingers.size === 1 ? 0 : Infinity; // two fingers never tap
  }

  _move(event) {
    const before = this._fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const other = [...this._fingers].find(([id]) => id !== event.pointerId)?.[1];
    this._way += distance(before, now);
    if (other) this.zoomBy(distance(now, other) / Math.max(1, distance(before, other)), middle(now, other));
    if (other || this._way > STILL_PX) this._shift((now[0] - before[0]) / (other ? 2 : 1), (now[1] - before[1]) / (other ? 2 : 1));
    this._fingers.set(event.pointerId, now);
  }

  _up(event) {
    if (!this._fingers.delete(event.pointerId) || event.type === "pointercancel" || this._way > STILL_PX) return;
    const place = this.toPicture(event.clientX, event.clientY);
    if (place) this._tapped(...place);
  }
}

const distance = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]);
const middle = (one, other) => [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];
