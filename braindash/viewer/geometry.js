// Surfaces as the graphics card wants them: positions, normals, faces, region outlines.

export const SIDES = ["left", "right"];
const TALL = 1.35; // a view's width to its height, without the camera's margin

// Sum of the face normals around every vertex; the shader brings them to unit length.
export function vertexNormals(points, faces) {
  const normals = new Float32Array(points.length);
  for (let i = 0; i < faces.length; i += 3) {
    const a = 3 * faces[i], b = 3 * faces[i + 1], c = 3 * faces[i + 2];
    const ux = points[b] - points[a], uy = points[b + 1] - points[a + 1], uz = points[b + 2] - points[a + 2];
    const vx = points[c] - points[a], vy = points[c + 1] - points[a + 1], vz = points[c + 2] - points[a + 2];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
    for (const v of [a, b, c]) {
      normals[v] += nx; normals[v + 1] += ny; normals[v + 2] += nz;
    }
  }
  return normals;
}

// Turn the geometry blob into {left, right}: shapes with points (mm) and normals, faces, depth.
export function readHemispheres({ header, arrays }) {
  const hemispheres = {};
  for (const side of SIDES) {
    const faces = arrays.faces ?? arrays[`faces_${side}`], onFlat = arrays[`on_flat_${side}`];
    const flatFaces = faces.filter((_, corner) => onFlat[Math.floor(corner / 3)]);
    const shapes = {};
    for (const shape of header.shapes) {
      const scale = header.scale_mm[`${shape}_${side}`] / 32767;
      const points = Float32Array.from(arrays[`${shape}_${side}`], (value) => value * scale);
      const normals = vertexNormals(points, shape === "flat" ? flatFaces : faces);
      shapes[shape] = { points, normals };
    }
    const depth = arrays[`sulc_${side}`];
    hemispheres[side] = { shapes, faces, flatFaces, depth, count: depth.length };
  }
  return hemispheres;
}

// Largest coordinate of every shape over both hemispheres, in mm; of a shape that is higher than
// views are for its width, so much more that it is seen whole.
export function shapeReach(hemispheres) {
  const reach = {};
  for (const side of SIDES) {
    for (const [name, { points }] of Object.entries(hemispheres[side].shapes)) {
      const tall = name === "flat" ? 1 : TALL; // the flat surface has higher views
      for (let i = 0; i < points.length; i++) {
        const value = Math.abs(points[i]) * (i % 3 === 2 ? tall : 1);
        reach[name] = Math.max(reach[name] || 0, value);
      }
    }
  }
  return reach;
}

// Whether a vertex of both hemispheres is in a region: words of 16 regions, each of all vertices.
export function memberOf(bits, count, index, bit) {
  return (bits[(bit >> 4) * count + index] >> (bit & 15)) & 1;
}

// Pairs of vertices whose midpoints, taken two by two, are the border of a region's bit:
// in every face with members and others, the line between the two crossed edges.
export function outlinePairs(faces, bits, offset, bit, count = bits.length) {
  const pairs = [];
  const inside = (vertex) => memberOf(bits, count, offset + vertex, bit);
  for (let i = 0; i < faces.length; i += 3) {
    const corners = [faces[i], faces[i + 1], faces[i + 2]];
    const members = corners.map(inside);
    const total = members[0] + members[1] + members[2];
    if (total === 0 || total === 3) continue;
    const alone = members.indexOf(total === 1 ? 1 : 0);
    for (const other of [1, 2]) pairs.push(corners[alone], corners[(alone + other) % 3]);
  }
  return pairs;
}

export function midpoints(points, pairs) {
  const middle = new Float32Array((pairs.length / 2) * 3);
  for (let i = 0; i < pairs.length; i += 2) {
    for (let axis = 0; axis < 3; axis++) {
      middle[(i / 2) * 3 + axis] = (points[3 * pairs[i] + axis] + points[3 * pairs[i + 1] + axis]) / 2;
    }
  }
  return middle;
}
