// Grey frames -> what a canvas shows. A pixel is written as one number, 0xAABBGGRR, as little-endian machines keep it.
// Nothing here knows of the page.

const OPAQUE = 0xff000000;
const MIDDLE = 128;
const GAIN = 3; // differences of bubbles are small; the panel for brightness and contrast gives more

export const grey = (frame, out) => {
  for (let at = 0; at < out.length; at += 1) out[at] = OPAQUE | (frame[at] * 0x010101);
};

// Oldest, middle, newest as red, green, blue: edge_agent/composite.py.
export const composite = ([oldest, middle, newest], out) => {
  for (let at = 0; at < out.length; at += 1) out[at] = OPAQUE | (newest[at] << 16) | (middle[at] << 8) | oldest[at];
};

// What differs from the median is lighter or darker than grey.
export const withoutMedian = (frame, median, out) => {
  for (let at = 0; at < out.length; at += 1) {
    const level = Math.min(255, Math.max(0, MIDDLE + GAIN * (frame[at] - median[at])));
    out[at] = OPAQUE | (level * 0x010101);
  }
};

// Numbers of the oldest, middle and newest frame of the composite that ends with frame `number`; null where there are
// no two frames before it. As edge_agent/composite.py chooses them: the nearest in time, the older of two as near.
export const three = (takenS, number, spacingS) => {
  const first = beginning(takenS, number);
  const middle = nearest(takenS, first, number, takenS[number] - spacingS);
  const oldest = middle === null ? null : nearest(takenS, first, middle, takenS[middle] - spacingS);
  return oldest === null ? null : [oldest, middle, number];
};

// A clock that does not go on makes the compositor start anew.
const beginning = (takenS, number) => {
  let first = number;
  while (first > 0 && takenS[first - 1] < takenS[first]) first -= 1;
  return first;
};

const nearest = (takenS, first, before, wantedS) => {
  let best = null;
  for (let at = first; at < before; at += 1) {
    if (best === null || Math.abs(takenS[at] - wantedS) < Math.abs(takenS[best] - wantedS)) best = at;
  }
  return best;
};

// Per pixel the middle of the values, the lower of two.
export const median = (frames) => {
  const still = new Uint8Array(frames[0].length);
  const counts = new Uint16Array(256);
  const half = Math.ceil(frames.length / 2);
  for (let at = 0; at < still.length; at += 1) {
    for (const frame of frames) counts[frame[at]] += 1;
    let level = lowest(frames, at);
    for (let seen = counts[level]; seen < half; seen += counts[level]) level += 1;
    still[at] = level;
    for (const frame of frames) counts[frame[at]] = 0;
  }
  return still;
};

const lowest = (frames, at) => {
  let level = 255;
  for (const frame of frames) if (frame[at] < level) level = frame[at];
  return level;
};
