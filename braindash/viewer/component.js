// The entry point: a viewer per element of the page, or a picture where there is no WebGL2.

import { rememberVisit, takeSettings, tellDrawn, waitForBlob } from "./blobs.js";
import { Viewer } from "./viewer.js";

const VIEWERS = new WeakMap();

function showFallback(root, settings, problem) {
  root.querySelector('[data-part="stage"]').hidden = true;
  const note = root.querySelector('[data-part="fallback"]');
  note.hidden = false;
  note.querySelector("p").textContent =
    `${problem.message}: here is a static picture of ${settings.fallback_name}.`;
  waitForBlob(settings.fallback).then((bytes) => {
    const image = note.querySelector("img"), before = image.src;
    image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    if (before) URL.revokeObjectURL(before);
  });
}

// Figures of the page may wait for the first frame: they are told of it, and of a failure too.
async function showAndTell(viewer, settings, name) {
  try {
    await viewer.show(settings);
  } catch (problem) {
    tellDrawn(name);
    throw problem;
  }
  if (viewer.wanted === settings) tellDrawn(name); // else newer ones came on the way
}

export default function mount(component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".braindash-viewer");
  if (!root) return;
  rememberVisit();
  try {
    if (!VIEWERS.has(root)) VIEWERS.set(root, new Viewer(root));
  } catch (problem) {
    // The server sends the picture once it knows that it is needed.
    component.setStateValue("fallback", true);
    tellDrawn(data.viewer);
    takeSettings(data.viewer, (settings) => {
      if (settings.fallback) showFallback(root, settings, problem);
    });
    return;
  }
  const viewer = VIEWERS.get(root);
  viewer.component = component;
  const stop = takeSettings(data.viewer, (settings) => showAndTell(viewer, settings, data.viewer));
  // Called before every update too: only a viewer that left the page is let go.
  return () => setTimeout(() => {
    if (root.isConnected) return;
    stop();
    viewer.leave();
  });
}
