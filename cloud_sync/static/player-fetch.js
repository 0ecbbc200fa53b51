// Addresses -> stored frames as they lie in the clip -> grey pixels. The page and its worker both use it.

const LENGTH_BYTES = 4;
const DAMAGED = 410; // the stored bytes are wrong, and the answer says in words how

// The clip may be sound; this browser cannot get at it now.
export class Unreachable extends Error {}

export const get = async (address, options = {}) => {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Unreachable("the cloud cannot be reached: look at the network, then play again");
  }
  if (answer.redirected) throw new Unreachable("your session has ended: sign in again in another window, then play again");
  if (answer.status === DAMAGED) throw new Error(await answer.text());
  if (!answer.ok) throw new Unreachable(`the cloud answers ${answer.status}: load the page again`);
  return answer;
};

// Several stored frames in one answer, each behind its length (u32, little-endian) -> Blobs.
export const fetchFrames = async (address, from, count, step = 1) => {
  const answer = await get(`${address}?from=${from}&count=${count}&step=${step}`);
  return split(await answer.arrayBuffer());
};

const split = (data) => {
  const numbers = new DataView(data);
  const found = [];
  for (let at = 0; at + LENGTH_BYTES <= data.byteLength;) {
    const length = numbers.getUint32(at, true);
    at += LENGTH_BYTES;
    found.push(new Blob([data.slice(at, at + length)]));
    at += length;
  }
  return found;
};

// A function Blob -> Uint8Array of width * height grey values, the same that the cloud decodes.
export const greyDecoder = ([width, height]) => {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  return async (blob) => {
    const picture = await createImageBitmap(blob, { colorSpaceConversion: "none", imageOrientation: "none" });
    pen.drawImage(picture, 0, 0);
    picture.close();
    const { data } = pen.getImageData(0, 0, width, height);
    const grey = new Uint8Array(width * height);
    for (let at = 0; at < grey.length; at += 1) grey[at] = data[4 * at];
    return grey;
  };
};
