// What a view shows of a frame: the canvas over the video, and the words in its corner.

import * as pixels from "./player-pixels.js";

const AHEAD = 3; // frames decoded before they are due
export const VIEWS = ["video", "frames", "composite", "moving"];

export class Pictures {
  constructor(canvas, words) {
    this._canvas = canvas;
    this._words = words;
    this._pen = canvas.getContext("2d", { alpha: false });
  }

  load(clip) {
    this._clip = clip;
    this._shown = "";
    [this._canvas.width, this._canvas.height] = clip.about.size_px;
    this._image = new ImageData(...clip.about.size_px);
    this._out = new Uint32Array(this._image.data.buffer);
  }

  // The video is seen, or nothing.
  hide(words) {
    this._canvas.hidden = true;
    this._words.textContent = words;
  }

  // Draws now where the frames are here: true. Otherwise a promise that they are, which may fail with words.
  draw(view, number) {
    const clip = this._clip;
    const numbers = framesFor(clip, view, number);
    const greys = numbers.map((wanted) => clip.grey(wanted));
    if (!greys.every(Boolean)) return Promise.all(numbers.map((wanted) => clip.load(wanted)));
    const wanted = `${view} ${number} ${Boolean(clip.stillGrey)}`;
    if (this._shown !== wanted) this._paint(view, greys);
    this._shown = wanted;
    Object.assign(this._canvas.dataset, { frame: String(number), shows: view });
    this._canvas.hidden = false;
    this._words.textContent = wordsFor(clip, view, numbers);
    return true;
  }

  fetchAhead(number) {
    for (let ahead = 1; ahead <= AHEAD; ahead += 1) this._clip.load((number + ahead) % this._clip.count).catch(() => {});
  }

  _paint(view, greys) {
    const still = this._clip.stillGrey;
    if (view === "composite" && greys.length === 3) pixels.composite(greys, this._out);
    else if (view === "moving" && still) pixels.withoutMedian(greys[0], still, this._out);
    else pixels.grey(greys.at(-1), this._out);
    this._pen.putImageData(this._image, 0, 0);
  }
}

const framesFor = (clip, view, number) => {
  const three = view === "composite" ? pixels.three(clip.about.taken_s, number, clip.about.spacing_s) : null;
  return three ?? [number];
};

const wordsFor = (clip, view, numbers) => {
  const last = numbers.at(-1) + 1;
  if (view === "composite") {
    const named = numbers.map((number) => number + 1).join(", ");
    return numbers.length === 3 ? `Composite of frames ${named}` : `Frame ${last}: too early for a composite`;
  }
  if (view !== "moving") return `Stored frame ${last} of ${clip.count}`;
  return clip.stillGrey ? `Frame ${last} without the median of ${clip.stillFrames} frames` : "Working out the median …";
};
