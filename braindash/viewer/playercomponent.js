// The entry point of the page Story: a player per element of the page.

import { takeSettings } from "./blobs.js";
import { Player } from "./player.js";

const PLAYERS = new WeakMap();

export default function mount(component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".braindash-viewer");
  if (!root) return;
  if (!PLAYERS.has(root)) PLAYERS.set(root, new Player(root));
  const player = PLAYERS.get(root);
  player.component = component;
  const stop = takeSettings(data.viewer, (settings) => player.show(settings));
  // Called before every update too: only a player that left the page is let go.
  return () => setTimeout(() => {
    if (root.isConnected) return;
    stop();
    player.leave();
  });
}
