// Which frame is shown now. The video leads while it plays; where it cannot be played, a clock of our own leads.

const SPEEDS = [0.25, 0.5, 1, 2];
const USUAL_STEP_S = 1 / 15;
const MOVED_S = 0.005; // from where we put it: somebody else has moved the video, and is followed

export class Clock {
  constructor(changed) {
    this._changed = changed; // called with "frame" or "state"
    this.times = [0];
    this.frame = 0;
    this.speed = 1;
    this.playing = false;
    this.loop = null;
    this.video = null;
    const tick = (now) => { this._tick(now); requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
  }

  // Another clip, from its beginning. `video`: an element, or null where it cannot be played.
  load(times, video) {
    this.times = times.length ? times : [0];
    this.video = video;
    this.loop = null;
    this.frame = 0;
    this._position = 0;
    if (video) video.playbackRate = this.speed;
    this.play();
  }

  // The frame times come after the video where a page has just been opened.
  setTimes(times) { this.times = times; this._follow(this._now()); }

  withoutVideo() { this._position = this.times[this.frame]; this.video = null; this._changed("state"); }

  play() {
    this.playing = true;
    this._before = null;
    this.video?.play().catch(() => { if (this.video?.paused && !this.video.error) this._stopped(); });
    this._changed("state");
  }

  pause() {
    this._follow(this._now());
    this._stopped();
    this.video?.pause();
    this._aim = this.video?.currentTime;
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  step(by) {
    if (this.playing) this.pause(); else this._follow(this._now());
    this.show((this.frame + by + this.times.length) % this.times.length);
  }

  // This frame and no other, playing or not.
  show(frame) {
    this.frame = Math.min(Math.max(frame, 0), this.times.length - 1);
    this._position = this.times[this.frame];
    if (this.video) {
      this._aim = this._middle(this.frame);
      this.video.currentTime = this._aim;
    }
    this._changed("frame");
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.video) this.video.playbackRate = speed;
    this._changed("state");
  }

  faster(by) {
    const speed = SPEEDS[SPEEDS.indexOf(this.speed) + by];
    if (speed) this.setSpeed(speed);
  }

  // `side`: "from" or "to"; the other side moves along where the two would cross.
  setLoop(side) {
    const loop = this.loop ?? { from: 0, to: this.times.length - 1 };
    loop[side] = this.frame;
    if (loop.from > loop.to) loop[side === "from" ? "to" : "from"] = side === "from" ? this.times.length - 1 : 0;
    this.loop = loop;
    this._changed("state");
  }

  clearLoop() { this.loop = null; this._changed("state"); }

  get endS() { return this._end(this.times.length - 1); }

  _stopped() { this.playing = false; this._changed("state"); }

  _now() {
    if (!this.video) return this._position;
    const second = this.video.currentTime;
    if (this.playing) return this.video.readyState >= 2 ? second : this.times[this.frame];
    return Math.abs(second - this._aim) > MOVED_S ? second : this.times[this.frame];
  }

  _tick(now) {
    const passed = this._before ? (now - this._before) / 1000 : 0;
    this._before = now;
    if (!this.playing) return;
    if (!this.video) this._position = (this._position + passed * this.speed) % this.endS;
    this._follow(this._now());
    if (this.loop && (this.frame < this.loop.from || this.frame > this.loop.to)) this.show(this.loop.from);
  }

  _follow(second) {
    const frame = this._frameAt(second);
    if (frame === this.frame) return;
    this.frame = frame;
    this._changed("frame");
  }

  _frameAt(second) {
    let low = 0;
    let high = this.times.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.times[middle] <= second + 1e-4) low = middle; else high = middle - 1;
    }
    return low;
  }

  _end(frame) {
    if (frame + 1 < this.times.length) return this.times[frame + 1];
    return this.times[frame] + (frame > 0 ? this.times[frame] - this.times[frame - 1] : USUAL_STEP_S);
  }

  // Not the border, where a browser may show the frame before; and never behind the video's end.
  _middle(frame) {
    const middle = (this.times[frame] + this._end(frame)) / 2;
    return Number.isFinite(this.video.duration) ? Math.min(middle, Math.max(this.times[frame], this.video.duration - 0.002)) : middle;
  }
}
