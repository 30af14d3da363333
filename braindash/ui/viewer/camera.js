// The four linked views: one shared rotation and zoom, one direction per panel.

export const PANELS = [
  { side: "left", from: "lateral" }, { side: "right", from: "lateral" },
  { side: "left", from: "medial" }, { side: "right", from: "medial" },
];
const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const MARGIN = 1.04;
const WIDTH_TO_HEIGHT = 1.4; // of a brain seen from the side

// Rows: screen right, screen up, towards the viewer, in the surface's right-anterior-superior axes.
function direction(side, from) {
  const fromLeft = (side === "left") === (from === "lateral");
  return fromLeft ? [0, -1, 0, 0, 0, 1, -1, 0, 0] : [0, 1, 0, 0, 0, 1, 1, 0, 0];
}

export function multiply(a, b) {
  const product = [];
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      product.push(a[3 * row] * b[column] + a[3 * row + 1] * b[3 + column] + a[3 * row + 2] * b[6 + column]);
    }
  }
  return product;
}

export class Camera {
  constructor() {
    this.reset();
  }

  reset() {
    this.rotation = IDENTITY;
    this.zoom = 1;
  }

  // Turn by a drag in pixels; the medial panels turn with the lateral ones.
  drag(dx, dy) {
    const [cx, sx, cy, sy] = [Math.cos(dx * 0.01), Math.sin(dx * 0.01), Math.cos(dy * 0.01), Math.sin(dy * 0.01)];
    const aboutUp = [cx, 0, sx, 0, 1, 0, -sx, 0, cx];
    const aboutRight = [1, 0, 0, 0, cy, -sy, 0, sy, cy];
    this.rotation = multiply(aboutRight, multiply(aboutUp, this.rotation));
  }

  zoomBy(factor) {
    this.zoom = Math.min(12, Math.max(0.4, this.zoom * factor));
  }

  matrix(panel) {
    return multiply(this.rotation, direction(panel.side, panel.from));
  }

  // Half width and half height of a panel in mm; `reach` is every shape's largest coordinate.
  frame(shape, reach, width, height) {
    const { first, second, t } = shape;
    const half = (MARGIN * ((1 - t) * reach[first] + t * reach[second])) / this.zoom;
    const aspect = width / height;
    if (aspect < WIDTH_TO_HEIGHT) return [half, half / aspect];
    return [(half * aspect) / WIDTH_TO_HEIGHT, half / WIDTH_TO_HEIGHT];
  }

  // Panels and their rectangles in pixels from the top left; one row when the surface is flat.
  layout(shape, width, height) {
    const flat = shape.second === "flat" && shape.t > 0.5;
    const panels = flat ? PANELS.slice(0, 2) : PANELS;
    const rows = panels.length / 2;
    return panels.map((panel, index) => ({
      panel,
      x: (index % 2) * (width / 2),
      y: Math.floor(index / 2) * (height / rows),
      width: width / 2,
      height: height / rows,
    }));
  }
}
