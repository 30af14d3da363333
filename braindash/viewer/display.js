// How maps are shown: small islands faintly, every vertex as it is, or smoothed over neighbours.
// Only the picture changes: means, hovered values and tables are always those of the data.

import { LARGEST_STEP, MISSING } from "./blobs.js";
import { SIDES } from "./geometry.js";

export const LEAST_ISLAND = 5; // vertices; a coloured patch of fewer is an island
export const DISPLAYS = {
  islands: `Coloured patches of fewer than ${LEAST_ISLAND} vertices are drawn faintly.`,
  every: "Every vertex is drawn as it is.",
  smoothed: "Smoothed for display: each vertex is the mean of itself and its neighbours; hover tells the measured value.",
};

function eachEdge(hemispheres, act) {
  let offset = 0;
  for (const side of SIDES) {
    const { faces, count } = hemispheres[side];
    for (let i = 0; i < faces.length; i += 3) {
      for (let corner = 0; corner < 3; corner++) {
        const a = faces[i + corner] + offset, b = faces[i + ((corner + 1) % 3)] + offset;
        act(a, b);
        act(b, a);
      }
    }
    offset += count;
  }
}

// The neighbours of vertex v of both hemispheres stand in `list` from starts[v] to starts[v + 1],
// each of them once per face that they share.
export function neighbourhood(hemispheres) {
  const count = SIDES.reduce((sum, side) => sum + hemispheres[side].count, 0);
  const starts = new Uint32Array(count + 1);
  eachEdge(hemispheres, (a) => { starts[a + 1] += 1; });
  for (let v = 0; v < count; v++) starts[v + 1] += starts[v];
  const list = new Uint32Array(starts[count]), next = starts.slice();
  eachEdge(hemispheres, (a, b) => { list[next[a]++] = b; });
  return { starts, list };
}

// Mark with 255 the shown vertices (1 in `shown`) of patches smaller than `least`.
export function findIslands(shown, { starts, list }, least = LEAST_ISLAND) {
  const faint = new Uint8Array(shown.length), seen = new Uint8Array(shown.length);
  for (let first = 0; first < shown.length; first++) {
    if (!shown[first] || seen[first]) continue;
    const patch = [first];
    seen[first] = 1;
    for (let at = 0; at < patch.length; at++) {
      const v = patch[at];
      for (let i = starts[v]; i < starts[v + 1]; i++) {
        const other = list[i];
        if (!shown[other] || seen[other]) continue;
        seen[other] = 1;
        patch.push(other);
      }
    }
    if (patch.length < least) for (const v of patch) faint[v] = 255;
  }
  return faint;
}

// The mean of every vertex and its neighbours, of those that have a value.
export function smooth(bytes, { starts, list }) {
  const means = new Uint8Array(bytes.length).fill(MISSING);
  for (let v = 0; v < bytes.length; v++) {
    if (bytes[v] === MISSING) continue;
    let sum = 2 * bytes[v], weight = 2; // neighbours stand in the list twice
    for (let i = starts[v]; i < starts[v + 1]; i++) {
      if (bytes[list[i]] === MISSING) continue;
      sum += bytes[list[i]];
      weight += 1;
    }
    means[v] = Math.round(sum / weight);
  }
  return means;
}

// Which vertices of a panel are coloured: 1 where its value, the larger of two, or one of those that
// mix reaches the threshold.
export function shownVertices(panel, threshold, isDiverging) {
  const parts = panel.sources.map(({ header, bytes }) => {
    const reaches = Uint8Array.from({ length: 256 }, (_, byte) => {
      const value = header.low + (byte / LARGEST_STEP) * (header.high - header.low);
      return (isDiverging ? Math.abs(value) : value) >= threshold ? 1 : 0;
    });
    return { bytes, reaches };
  });
  const [one, two = one] = parts;
  if (panel.isMix) {
    return one.bytes.map((_, v) => (
      parts.some(({ bytes, reaches }) => bytes[v] !== MISSING && reaches[bytes[v]]) ? 1 : 0));
  }
  return one.bytes.map((byte, v) => {
    const other = two.bytes[v];
    if (byte === MISSING || other === MISSING) return 0;
    return one.reaches[byte] | two.reaches[other];
  });
}

export class Display {
  constructor(renderer) {
    Object.assign(this, { renderer, mode: "islands", done: new Map() });
  }

  setGeometry(hemispheres) {
    this.hemispheres = hemispheres;
    this.near = null;
    this.done.clear();
  }

  forget() {
    this.done.clear();
  }

  // Bring what the panels show to the graphics card, where that has changed.
  prepare(panels, scene) {
    if (this.mode !== "every") this.near ||= neighbourhood(this.hemispheres);
    for (const panel of panels) {
      for (const source of panel.sources) this.prepareValues(source);
      const isDiverging = !panel.isDifference && scene.score.diverging;
      const layers = panel.sources.map(({ layer }) => layer);
      this.once(panel, "faint", [this.mode, scene.threshold, isDiverging, ...layers], () => {
        const shown = this.mode === "islands" ? shownVertices(panel, scene.threshold, isDiverging) : null;
        this.renderer.setFaint(panel, shown && findIslands(shown, this.near));
      });
    }
  }

  prepareValues(source) {
    const isSmooth = this.mode === "smoothed";
    this.once(source, "values", [isSmooth, isSmooth && source.layer], () => {
      this.renderer.setShown(source, isSmooth ? smooth(source.bytes, this.near) : null);
    });
  }

  once(panel, what, state, act) {
    const known = this.done.get(panel) ?? {}, text = state.join(" ");
    if (known[what] === text) return;
    this.done.set(panel, { ...known, [what]: text });
    act();
  }
}
