// The story of a report: the dashboard's player, with all pieces in the page. What the server says
// there of a clicked vertex is read from the bytes of the maps here.

import { LARGEST_STEP, MISSING } from "../../viewer/blobs.js";
import { element } from "../../viewer/dom.js";
import { Player } from "../../viewer/player.js";
import { give, packed } from "./packed.js";

const LEAST_ROWS = 10; // that r so far is of
const PICKED = "#0072B2";

// Values of a vertex in every row, from the pieces that are here; NaN in others.
export function courseOf({ nRows, pieces, count }, index) {
  const values = new Float32Array(nRows).fill(NaN);
  for (const { first, rows, maps, header } of pieces.values()) {
    const step = (header.high - header.low) / LARGEST_STEP;
    for (let row = 0; row < rows; row++) {
      const byte = maps[row * count + index];
      if (byte !== MISSING) values[first + row] = header.low + step * byte;
    }
  }
  return values;
}

// The correlation of all rows up to each that have both values; NaN before there are enough.
export function runningR(one, other) {
  const sums = { n: 0, x: 0, y: 0, xx: 0, yy: 0, xy: 0 };
  return Float32Array.from(one, (x, row) => {
    const y = other[row];
    if (Number.isFinite(x) && Number.isFinite(y)) {
      sums.n += 1;
      sums.x += x; sums.y += y;
      sums.xx += x * x; sums.yy += y * y; sums.xy += x * y;
    }
    const { n } = sums, [sx, sy] = [sums.xx - sums.x ** 2 / n, sums.yy - sums.y ** 2 / n];
    if (n < LEAST_ROWS || !(sx > 1e-9) || !(sy > 1e-9)) return NaN;
    return (sums.xy - (sums.x * sums.y) / n) / Math.sqrt(sx * sy);
  });
}

function makeAudio(host, id) {
  const audio = element("audio", "");
  audio.id = "story-audio";
  audio.src = URL.createObjectURL(new Blob([packed(id)], { type: "audio/mpeg" }));
  host.before(audio);
}

// What the player asks its server: here of a clicked vertex alone.
function answer(player, index) {
  const { left } = player.surface.renderer.hemispheres, isLeft = index < left.count;
  const [measured, ...predicted] = player.series.map((series) => courseOf(series, index));
  const running = predicted.map((one) => runningR(one, measured));
  const last = running.map((one) => one.at(-1)).map((r) => (Number.isFinite(r) ? r : null));
  player.target = {
    title: `Clicked vertex: ${isLeft ? "left" : "right"} ${isLeft ? index : index - left.count}`,
    colour: PICKED, notes: ["read from the maps' bytes, of the rows that have maps here"],
    r: last, measured, predicted, running,
  };
  player.chooseCourse("target");
}

export function openStory(host, settings) {
  const shadow = host.attachShadow({ mode: "open" });
  shadow.append(document.getElementById("player-markup").content.cloneNode(true));
  const root = shadow.querySelector(".braindash-viewer");
  root.dataset.address = "story-"; // its own names in the address
  if (settings.sound) makeAudio(host, settings.sound);
  const player = new Player(root);
  player.component = {
    setTriggerValue: (kind, { index }) => { if (kind === "pick") answer(player, index); },
  };
  const pieces = settings.series.flatMap(({ sent }) => Object.values(sent));
  for (const id of [...["geometry", "colours", "base", "story", "courses"].map((name) => settings[name]), ...pieces]) give(id);
  player.show({ ...settings, audio: settings.sound ? "#story-audio" : "" });
}
