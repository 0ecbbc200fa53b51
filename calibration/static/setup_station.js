// The sheet to print is the one of the form as it stands, before it is sent.

const form = document.getElementById("station-form");
const link = document.getElementById("print");
const usual = link.getAttribute("href");
const follow = () => {
  const about = new URLSearchParams({ station: form.station.value.trim(), mm: form.marker_mm.value.trim() });
  link.href = `${usual}?${about}`;
};
form.addEventListener("input", follow);
follow();
