// Which vertex lies under the pointer: a ray test against the faces, on the CPU (about 0.5 ms).

// `at` is a point in mm of the panel; `matrix` turns the surface into the panel's axes.
export function pickVertex(hemisphere, shape, matrix, at) {
  const first = hemisphere.shapes[shape.first].points, second = hemisphere.shapes[shape.second].points;
  const { count } = hemisphere;
  const x = new Float32Array(count), y = new Float32Array(count), depth = new Float32Array(count);
  for (let v = 0; v < count; v++) {
    const i = 3 * v, t = shape.t;
    const r = first[i] + t * (second[i] - first[i]);
    const a = first[i + 1] + t * (second[i + 1] - first[i + 1]);
    const s = first[i + 2] + t * (second[i + 2] - first[i + 2]);
    x[v] = matrix[0] * r + matrix[1] * a + matrix[2] * s;
    y[v] = matrix[3] * r + matrix[4] * a + matrix[5] * s;
    depth[v] = matrix[6] * r + matrix[7] * a + matrix[8] * s;
  }
  const faces = shapeFaces(hemisphere, shape);
  const [px, py] = at;
  const sideOf = (a, b) => (px - x[b]) * (y[a] - y[b]) - (x[a] - x[b]) * (py - y[b]);
  let found = -1, nearest = -Infinity;
  for (let i = 0; i < faces.length; i += 3) {
    const a = faces[i], b = faces[i + 1], c = faces[i + 2];
    const s = sideOf(a, b), t = sideOf(b, c), u = sideOf(c, a);
    if ((s < 0 || t < 0 || u < 0) && (s > 0 || t > 0 || u > 0)) continue;
    const z = (depth[a] + depth[b] + depth[c]) / 3;
    if (z <= nearest) continue;
    nearest = z;
    const away = (v) => (x[v] - px) ** 2 + (y[v] - py) ** 2;
    found = [a, b, c].reduce((best, v) => (away(v) < away(best) ? v : best));
  }
  return found;
}

// On the way to the flat surface only its own faces are drawn, or the cuts would be bridged.
export function shapeFaces(hemisphere, shape) {
  return shape.second === "flat" && shape.t > 0 ? hemisphere.flatFaces : hemisphere.faces;
}
