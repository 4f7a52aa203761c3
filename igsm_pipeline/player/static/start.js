// Starts every player of a page from the documents that stand in it.

import { mountPlayer } from "./player.js";

for (const root of document.querySelectorAll(".igsm-player[data-scenes]")) {
  const { about, scenes } = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  mountPlayer(root, about, scenes);
}
