// Which vertex lies under the pointer: a ray test against the faces, on the CPU (about 0.5 ms).

// `at` is a point in mm of the panel; `matrix` turns the surface into the panel's axes.
export function pickVertex(hemisphere, shape, matrix, at) {
  const first = hemisphere.shapes[shape.first].points, second = hemisphere.shapes[shape.second].points;
  const { count } = hemisphere;
  const x = new Float32Array(count), y = new Float32Array(count), depth = new Float32Array(count);
  for (let v = 0; v < count; v++) {
    const p = [0, 1, 2].map((axis) => first[3 * v + axis] * (1 - shape.t) + second[3 * v + axis] * shape.t);
    x[v] = matrix[0] * p[0] + matrix[1] * p[1] + matrix[2] * p[2];
    y[v] = matrix[3] * p[0] + matrix[4] * p[1] + matrix[5] * p[2];
    depth[v] = matrix[6] * p[0] + matrix[7] * p[1] + matrix[8] * p[2];
  }
  const faces = shapeFaces(hemisphere, shape);
  const [px, py] = at;
  const sideOf = (a, b) => (px - x[b]) * (y[a] - y[b]) - (x[a] - x[b]) * (py - y[b]);
  let found = -1, nearest = -Infinity;
  for (let i = 0; i < faces.length; i += 3) {
    const [a, b, c] = [faces[i], faces[i + 1], faces[i + 2]];
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
