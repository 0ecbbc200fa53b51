// One clip: its description, its stored frames (fetched some at a time, decoded when wanted) and its median.

import { fetchFrames, get, greyDecoder } from "./player-fetch.js";

const AT_ONCE = 30; // frames: 1 to 2 s of tank views, about 1 MB
const MOST_CHUNKS = 40; // as stored, some 50 MB; a longer clip is fetched where it is looked at
const MOST_GREYS = 96; // decoded, 30 MB at 640x480
const SAMPLES = 25; // odd, so that the median is a value that was there

// Raises Error with words for the page where the clip cannot be shown.
export const openClip = async (descriptor, cache = "default") => {
  const about = await (await get(descriptor.clip, { cache })).json();
  if (about.fault) throw new Error(about.fault);
  return new Clip(about);
};

class Clip {
  constructor(about) {
    this.about = about;
    this.count = about.times_s.length;
    this.stillFrames = 0;
    this._decode = greyDecoder(about.size_px);
    this._chunks = new Map();
    this._greys = new Map();
    this._coming = new Map();
  }

  // The decoded frame, or null where it is not here yet.
  grey(number) {
    const found = this._greys.get(number) ?? null;
    if (found) { this._greys.delete(number); this._greys.set(number, found); }
    return found;
  }

  async load(number) {
    if (this._greys.has(number)) return;
    if (!this._coming.has(number)) this._coming.set(number, this._decoded(number).finally(() => this._coming.delete(number)));
    await this._coming.get(number);
  }

  // Everything there is room for, one answer after the other.
  async loadAll() {
    const chunks = Math.min(Math.ceil(this.count / AT_ONCE), MOST_CHUNKS);
    for (let chunk = 0; chunk < chunks && !this._closed; chunk += 1) await this._chunk(chunk);
  }

  // The median over frames spread through the clip; made once, by a worker.
  still() {
    this._still ??= new Promise((resolve, reject) => {
      const step = Math.ceil(this.count / SAMPLES);
      this._worker = new Worker(new URL("./player-median.js", import.meta.url), { type: "module" });
      this._worker.addEventListener("message", ({ data }) => {
        this._worker.terminate();
        if (data.fault) { this._still = null; reject(new Error(data.fault)); return; }
        this.stillFrames = data.frames;
        this.stillGrey = data.still;
        resolve();
      });
      this._worker.postMessage({ address: this.about.frames, step, count: SAMPLES, size: this.about.size_px });
    });
    return this._still;
  }

  close() {
    this._closed = true;
    this._worker?.terminate();
    this._chunks.clear();
    this._greys.clear();
  }

  async _decoded(number) {
    const frames = await this._chunk(Math.floor(number / AT_ONCE));
    const blob = frames[number % AT_ONCE];
    if (!blob) throw new Error(`frame ${number + 1} is not in the clip`);
    let grey;
    try {
      grey = await this._decode(blob);
    } catch {
      throw new Error(`frame ${number + 1} is damaged and cannot be decoded`);
    }
    keep(this._greys, number, grey, MOST_GREYS);
  }

  _chunk(chunk) {
    if (!this._chunks.has(chunk)) {
      const coming = fetchFrames(this.about.frames, chunk * AT_ONCE, AT_ONCE);
      coming.catch(() => this._chunks.delete(chunk)); // the next look tries again
      keep(this._chunks, chunk, coming, MOST_CHUNKS);
    }
    return this._chunks.get(chunk);
  }
}

// The oldest go where there are too many.
const keep = (map, key, value, most) => {
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value);
};
