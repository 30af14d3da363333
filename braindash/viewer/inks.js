// Colours by name, and the key to inks that mix: a disc each, overlapping as the maps do.

import { element } from "./dom.js";

// "#rrggbb" as three shares.
export function inkOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
}

// Discs of two or three inks, whose light adds up where they overlap.
function drawDiscs(canvas, colours) {
  const context = canvas.getContext("2d"), { width, height } = canvas;
  const radius = height * 0.29, reach = height * 0.19;
  context.clearRect(0, 0, width, height);
  context.globalCompositeOperation = "lighter";
  colours.forEach((colour, index) => {
    const turn = (index / colours.length) * 2 * Math.PI - Math.PI / 2;
    context.fillStyle = colour;
    context.beginPath();
    context.arc(width / 2 + reach * Math.cos(turn), height / 2 + reach * Math.sin(turn), radius, 0, 2 * Math.PI);
    context.fill();
  });
}

// Show which ink is whose.
export function showKey(place, canvas, names, colours) {
  drawDiscs(canvas, colours.slice(0, names.length));
  const words = names.map((name, index) => {
    const word = element("span", "ink", name);
    word.style.borderColor = colours[index];
    return word;
  });
  place.replaceChildren(...words);
}
