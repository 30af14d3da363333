// Names of the outlined regions, written on the surface where they face the viewer.

import { element } from "./dom.js";
import { SIDES, memberOf } from "./geometry.js";
import { isFlat } from "./layout.js";

const LABEL_LINE = 16, LABEL_LETTER = 6.4; // pixels
const FACING = 0.25; // of a normal's length, towards the viewer

const apply = (m, [x, y, z]) => [0, 3, 6].map((row) => m[row] * x + m[row + 1] * y + m[row + 2] * z);
const at = (values, vertex) => [0, 1, 2].map((axis) => values[3 * vertex + axis]);

// The member of a region that is nearest to the members' mean place; -1 without members.
function middleMember({ points }, members) {
  const mean = [0, 1, 2].map((axis) => (
    members.reduce((sum, v) => sum + points[3 * v + axis], 0) / members.length));
  let best = -1, nearest = Infinity;
  for (const v of members) {
    const far = at(points, v).reduce((sum, value, axis) => sum + (value - mean[axis]) ** 2, 0);
    if (far < nearest) [best, nearest] = [v, far];
  }
  return best;
}

export class Labels {
  constructor(layer) {
    Object.assign(this, { layer, regions: [] });
  }

  // `shown`: [{bit, name, colour}]; `panel` has the vertices' bits.
  setRegions(shown, { bits, count }, hemispheres) {
    const [first] = SIDES;
    this.regions = shown.map(({ bit, name, colour }) => {
      const middles = {};
      for (const side of SIDES) {
        const hemisphere = hemispheres[side], offset = side === first ? 0 : hemispheres[first].count;
        const members = [];
        for (let v = 0; v < hemisphere.count; v++) if (memberOf(bits, count, offset + v, bit)) members.push(v);
        middles[side] = middleMember(Object.values(hemisphere.shapes)[0], members);
      }
      return { name, colour, middles };
    });
  }

  place(shape, places, camera, reach, hemispheres) {
    const made = [];
    for (const place of places) {
      const taken = [];
      for (const { name, colour, middles } of this.regions) {
        const vertex = middles[place.view.side];
        const spot = vertex < 0 ? null : this.spot(vertex, shape, place, camera, reach, hemispheres);
        if (!spot) continue;
        const box = { ...spot, width: LABEL_LETTER * name.length + 8 };
        const meets = (other) => Math.abs(box.y - other.y) < LABEL_LINE
          && Math.abs(box.x - other.x) < (box.width + other.width) / 2;
        if (taken.some(meets)) continue;
        taken.push(box);
        const label = element("span", "", name);
        Object.assign(label.style, { left: `${spot.x}px`, top: `${spot.y}px`, borderColor: colour });
        made.push(label);
      }
    }
    this.layer.replaceChildren(...made);
  }

  // Where a vertex is seen in a view, in pixels; null where it is turned away or outside.
  spot(vertex, shape, place, camera, reach, hemispheres) {
    const { shapes } = hemispheres[place.view.side];
    const [one, two] = [shapes[shape.first], shapes[shape.second]];
    const blend = (kind) => at(one[kind], vertex).map((value, axis) => (
      value + shape.t * (two[kind][3 * vertex + axis] - value)));
    const matrix = camera.matrix(place.view);
    const normal = apply(matrix, blend("normals"));
    if (!isFlat(shape) && normal[2] < FACING * Math.hypot(...normal)) return null;
    const [x, y] = apply(matrix, blend("points"));
    const [halfWidth, halfHeight] = camera.frame(shape, reach, place.width, place.height);
    const [across, up] = [x / halfWidth, y / halfHeight];
    if (Math.abs(across) > 0.95 || Math.abs(up) > 0.95) return null;
    return { x: place.x + (across * 0.5 + 0.5) * place.width, y: place.y + (0.5 - up * 0.5) * place.height };
  }
}
