// How far the measuring is; the page is loaded anew when it has come to an end.

import { poll } from "./setup_live.js";

const place = document.getElementById("measured");
if (place.hasAttribute("data-running")) {
  poll(
    () => place.dataset.url,
    500,
    (news) => {
      if (news.running) document.getElementById("gone").value = news.share;
      else if (!("fault" in news) || "share" in news) location.assign(location.pathname);
    },
  );
}
