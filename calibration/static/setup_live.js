// Asks the panel for news again and again, one question at a time, and shows them; what a page sends by itself says so.

const AWAY = "The panel does not answer: is it running?";
const FAILED = "The panel could not answer: its log says why. It is asked again.";
const SIGNED_OUT = "Nobody was here for 15 minutes: load this page again and enter the PIN.";

export async function ask(url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json", "X-Tankwatch-Background": "1" } });
    if (answer.status === 401) return { fault: SIGNED_OUT };
    const news = await answer.json();
    return answer.ok || news.fault ? news : { fault: news.error?.words ?? FAILED };
  } catch {
    return { fault: AWAY };
  }
}

// A page that cannot show one answer still asks for the next.
export function poll(address, pauseMs, show) {
  const turn = async () => {
    try {
      if (!document.hidden) await show(await ask(address()));
    } finally {
      setTimeout(turn, pauseMs);
    }
  };
  turn();
}

export function put(id, text) {
  const place = document.getElementById(id);
  if (place && place.textContent !== text) place.textContent = text;
}

// A JPEG as base64 -> painted; the page may load no picture from anywhere but the panel's own addresses.
export async function paint(canvas, text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  canvas.hidden = false;
}

// The picture of an answer, in place of the one before; an answer without one leaves that, pale.
export async function showPicture(news) {
  const picture = document.getElementById("picture");
  const overlay = document.getElementById("overlay");
  picture.closest(".stage").toggleAttribute("data-stale", !news.picture);
  if (!news.picture) return;
  await paint(picture, news.picture);
  overlay.removeAttribute("hidden");
  document.getElementById("none").hidden = true;
  overlay.setAttribute("viewBox", `0 0 ${news.frame_size_px[0]} ${news.frame_size_px[1]}`);
}
