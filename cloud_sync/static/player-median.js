// A worker: frames spread over the clip -> their median, pixel by pixel, while the page answers its keys.

import { fetchFrames, greyDecoder } from "./player-fetch.js";
import { median } from "./player-pixels.js";

self.addEventListener("message", async ({ data: { address, step, count, size } }) => {
  try {
    const decode = greyDecoder(size);
    const greys = [];
    for (const blob of await fetchFrames(address, 0, count, step)) greys.push(await decode(blob));
    const still = median(greys);
    self.postMessage({ still, frames: greys.length }, [still.buffer]);
  } catch (error) {
    self.postMessage({ fault: error.message });
  }
});
