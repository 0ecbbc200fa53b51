// Marking origins by hand or key: the mode, its cross-hair and what is said of them.

export class Aim {
  // `parts`: { marks, sight, clock, screen, button, say }.
  constructor(parts) { Object.assign(this, parts); }

  get on() { return this.marks.aiming; }

  // Keys go to the picture while marking, and back to where they were.
  set(on) {
    if (on === this.on || !this.button) return;
    this.marks.aiming = on;
    this.button.setAttribute("aria-pressed", String(on));
    this.screen.classList.toggle("aiming", on);
    if (on) this._before = document.activeElement;
    (on ? this.screen : this._before)?.focus({ preventScroll: true });
    if (!on && document.activeElement === this.screen) this.screen.blur();
    this.say(on ? "Marking: arrows move the cross-hair, Enter sets a mark, Backspace takes one back" : "Marking off");
    this.marks.draw(this.sight.scale);
  }

  move(right, down) {
    this.marks.moveCross(right, down);
    this.sight.reveal(...this.marks.cross);
    this.marks.draw(this.sight.scale);
    this.say(`Cross-hair at ${this.marks.cross.join(", ")}`);
  }

  add(x, y) {
    if (this.clock.playing) this.clock.pause();
    this.marks.cross = [Math.round(x), Math.round(y)];
    const done = this.marks.add(x, y, this.clock.frame);
    const place = `${Math.round(x)}, ${Math.round(y)} in frame ${this.clock.frame + 1}`;
    this.say(done ? `Mark ${this.marks.list().length} set at ${place}` : "No room for more marks: take one back first");
  }

  addCross() { this.add(...this.marks.cross); }

  takeBack() { if (this.marks.takeBack()) this.say(`Mark taken back, ${this.marks.list().length} left`); }
}
