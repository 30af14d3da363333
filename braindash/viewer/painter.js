// Frames in time without a graphics card. Which face lies behind each pixel is found once for a
// camera; a frame then is a sum of three values per pixel, which a processor has in milliseconds.

import { LARGEST_STEP, MISSING } from "./blobs.js";
import { SIDES } from "./geometry.js";
import { arrange } from "./layout.js";
import { shapeFaces } from "./picking.js";

const LIGHT = [-0.5, 0.7, 0.5].map((part) => part / Math.hypot(0.5, 0.7, 0.5));
const PALE = 0.83, DARK = 0.58; // of the cortex, as the shader has it

const smoothstep = (low, high, value) => {
  const share = Math.max(0, Math.min(1, (value - low) / (high - low)));
  return share * share * (3 - 2 * share);
};

// Vertices of a hemisphere on the screen: x and y in pixels, z towards the viewer, and their light.
function onScreen({ shapes, count }, shape, m, [halfWidth, halfHeight], width, height) {
  const [one, two] = [shapes[shape.first], shapes[shape.second]], { t } = shape;
  const [x, y, z, light] = Array.from({ length: 4 }, () => new Float32Array(count));
  for (let v = 0; v < count; v++) {
    const i = 3 * v;
    const [p, q, r] = [0, 1, 2].map((axis) => one.points[i + axis] + t * (two.points[i + axis] - one.points[i + axis]));
    x[v] = ((m[0] * p + m[1] * q + m[2] * r) / halfWidth / 2 + 0.5) * width;
    y[v] = (0.5 - (m[3] * p + m[4] * q + m[5] * r) / halfHeight / 2) * height;
    z[v] = m[6] * p + m[7] * q + m[8] * r;
    const sizes = [one, two].map(({ normals }) => Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1);
    const n = [0, 1, 2].map((axis) => (
      ((1 - t) * one.normals[i + axis]) / sizes[0] + (t * two.normals[i + axis]) / sizes[1]));
    const turned = [0, 3, 6].map((row) => m[row] * n[0] + m[row + 1] * n[1] + m[row + 2] * n[2]);
    const size = (Math.hypot(...turned) || 1) * (turned[2] < 0 ? -1 : 1);
    const [a, b, c] = turned.map((part) => part / size);
    light[v] = Math.min(1, 0.46 + 0.36 * c + 0.18 * Math.max(0, a * LIGHT[0] + b * LIGHT[1] + c * LIGHT[2]));
  }
  return { x, y, z, light };
}

// The nearest face at every pixel: the place of its first corner in the list of faces, or -1; and
// how near it is.
function nearestFaces(faces, isOpen, { x, y, z }, width, height) {
  const near = new Float32Array(width * height).fill(-Infinity), seen = new Int32Array(width * height).fill(-1);
  for (let i = 0; i < faces.length; i += 3) {
    const a = faces[i], b = faces[i + 1], c = faces[i + 2];
    const area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a]);
    // Of a closed surface the far side is never seen; y counts downwards.
    if (isOpen ? area === 0 : area >= 0) continue;
    const left = Math.max(0, Math.ceil(Math.min(x[a], x[b], x[c]) - 0.5));
    const right = Math.min(width - 1, Math.floor(Math.max(x[a], x[b], x[c]) - 0.5));
    const top = Math.max(0, Math.ceil(Math.min(y[a], y[b], y[c]) - 0.5));
    const bottom = Math.min(height - 1, Math.floor(Math.max(y[a], y[b], y[c]) - 0.5));
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        const px = column + 0.5, py = row + 0.5;
        const wa = ((x[b] - px) * (y[c] - py) - (x[c] - px) * (y[b] - py)) / area;
        const wb = ((x[c] - px) * (y[a] - py) - (x[a] - px) * (y[c] - py)) / area;
        if (wa < 0 || wb < 0 || wa + wb > 1) continue;
        const depth = wa * z[a] + wb * z[b] + (1 - wa - wb) * z[c], at = row * width + column;
        if (depth <= near[at]) continue;
        near[at] = depth;
        seen[at] = i;
      }
    }
  }
  return { seen, near };
}

// What is seen in a view: for each pixel of the brain its place, three vertices with their shares,
// the light, and the grey of the cortex.
export function seenPixels(hemisphere, shape, matrix, frame, width, height) {
  const faces = shapeFaces(hemisphere, shape), screen = onScreen(hemisphere, shape, matrix, frame, width, height);
  const { x, y, light } = screen;
  const { seen, near } = nearestFaces(faces, faces !== hemisphere.faces, screen, width, height);
  const count = seen.reduce((sum, face) => sum + (face >= 0), 0);
  const made = {
    width, height, screen, near, at: new Uint32Array(count), corners: new Uint32Array(3 * count), shares: new Float32Array(3 * count),
    light: new Float32Array(count), grey: new Uint8Array(count),
  };
  let n = 0;
  for (let at = 0; at < seen.length; at++) {
    if (seen[at] < 0) continue;
    const [a, b, c] = [0, 1, 2].map((corner) => faces[seen[at] + corner]);
    const px = (at % width) + 0.5, py = Math.floor(at / width) + 0.5;
    const area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a]);
    const wa = ((x[b] - px) * (y[c] - py) - (x[c] - px) * (y[b] - py)) / area;
    const wb = ((x[c] - px) * (y[a] - py) - (x[a] - px) * (y[c] - py)) / area;
    const shares = [wa, wb, 1 - wa - wb], mean = (values) => shares[0] * values[a] + shares[1] * values[b] + shares[2] * values[c];
    made.at[n] = at;
    made.corners.set([a, b, c], 3 * n);
    made.shares.set(shares, 3 * n);
    made.light[n] = mean(light);
    made.grey[n] = 255 * (PALE + (DARK - PALE) * smoothstep(0.35, 0.65, mean(hemisphere.depth) / 255));
    n += 1;
  }
  return made;
}

// Values of a series at every vertex of a side, between two rows; NaN where there is none.
export function valuesNow(series, start, count) {
  const values = new Float32Array(count).fill(NaN);
  if (series.blank) return values;
  const { low, high } = series.header, step = (high - low) / LARGEST_STEP, { maps, mix } = series;
  const first = series.layer * series.count + start, second = mix ? first + series.count : first;
  for (let v = 0; v < count; v++) {
    const one = maps[first + v], two = maps[second + v];
    if (one !== MISSING && two !== MISSING) values[v] = low + step * (one + mix * (two - one));
  }
  return values;
}

// Colour the pixels of a view; `pixels` are 32 bits each.
export function paintPixels({ at, corners, shares, light, grey }, values, { low, high, threshold, table }, pixels) {
  const scale = 255 / (high - low);
  for (let i = 0; i < at.length; i++) {
    const j = 3 * i;
    const value = shares[j] * values[corners[j]] + shares[j + 1] * values[corners[j + 1]] + shares[j + 2] * values[corners[j + 2]];
    const shine = light[i];
    let red = grey[i], green = red, blue = red;
    if (value >= threshold || value <= -threshold) { // never of NaN
      const k = 3 * Math.max(0, Math.min(255, Math.round((value - low) * scale)));
      red = table[k];
      green = table[k + 1];
      blue = table[k + 2];
    }
    pixels[at[i]] = (255 << 24) | ((blue * shine) << 16) | ((green * shine) << 8) | (red * shine);
  }
}

export class Painter {
  // `canvas` lies over the one that the graphics card draws, or is that one where there is no card.
  constructor(canvas) {
    this.canvas = canvas;
    this.views = new Map();
  }

  hide() {
    this.canvas.hidden = true;
  }

  // Find what is seen, where camera, shape or places have changed.
  prepare({ scene, camera, renderer, visible, drawnOutlines }) {
    const { clientWidth: width, clientHeight: height } = renderer.canvas;
    const { first, second, t } = scene.shape;
    const state = [camera.toText(), first, second, t, scene.views, width, height, visible.length, drawnOutlines].join(" ");
    if (this.state === state) return;
    this.state = state;
    this.views.clear();
    Object.assign(this.canvas, { width, height });
    this.places = arrange(visible.length, scene.shape, width, height, scene.views).places.map((place) => ({
      ...place, x: Math.round(place.x), y: Math.round(place.y),
      width: Math.round(place.x + place.width) - Math.round(place.x),
      height: Math.round(place.y + place.height) - Math.round(place.y),
    }));
    for (const place of this.places) {
      const { view, width: wide, height: tall } = place, name = [view.side, view.from, wide, tall].join(" ");
      if (!this.views.has(name)) {
        const frame = camera.frame(scene.shape, renderer.reach, wide, tall);
        this.views.set(name, seenPixels(renderer.hemispheres[view.side], scene.shape, camera.matrix(view), frame, wide, tall));
      }
      place.seen = this.views.get(name);
      place.image = new ImageData(wide, tall);
      place.pixels = new Uint32Array(place.image.data.buffer);
    }
    renderer.draw(scene, camera, false, true);
    this.lines = document.createElement("canvas");
    Object.assign(this.lines, { width, height });
    this.lines.getContext("2d").drawImage(renderer.canvas, 0, 0, width, height);
  }

  paint(surface) {
    this.prepare(surface);
    const { scene: { score, threshold }, visible, renderer: { hemispheres } } = surface;
    const context = this.canvas.getContext("2d"), known = new Map();
    const valuesOf = (series, side) => {
      const start = side === SIDES[0] ? 0 : hemispheres[SIDES[0]].count;
      if (!known.has(series)) known.set(series, {});
      return (known.get(series)[side] ??= valuesNow(series, start, hemispheres[side].count));
    };
    for (const { panel, view, x, y, seen, image, pixels } of this.places) {
      const { sources: [one, two], gain } = visible[panel];
      let values = valuesOf(one, view.side);
      if (two) {
        const other = valuesOf(two, view.side);
        values = values.map((value, v) => value - other[v]);
      }
      const range = { low: score.low * gain, high: score.high * gain, threshold: threshold * gain, table: score.table };
      paintPixels(seen, values, range, pixels);
      context.putImageData(image, x, y);
    }
    context.drawImage(this.lines, 0, 0);
    this.canvas.hidden = false;
  }
}
