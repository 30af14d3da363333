// The camera of all panels and views: one shared rotation and zoom, one direction per view.

export const VIEWS = [
  { side: "left", from: "lateral" }, { side: "right", from: "lateral" },
  { side: "left", from: "medial" }, { side: "right", from: "medial" },
];
export const WIDTH_TO_HEIGHT = 1.4; // of a brain seen from the side
const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const MARGIN = 1.04;

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

  // Turn by a drag in pixels; the medial views turn with the lateral ones.
  drag(dx, dy) {
    const [cx, sx, cy, sy] = [Math.cos(dx * 0.01), Math.sin(dx * 0.01), Math.cos(dy * 0.01), Math.sin(dy * 0.01)];
    const aboutUp = [cx, 0, sx, 0, 1, 0, -sx, 0, cx];
    const aboutRight = [1, 0, 0, 0, cy, -sy, 0, sy, cy];
    this.rotation = multiply(aboutRight, multiply(aboutUp, this.rotation));
  }

  zoomBy(factor) {
    this.zoom = Math.min(12, Math.max(0.4, this.zoom * factor));
  }

  matrix(view) {
    return multiply(this.rotation, direction(view.side, view.from));
  }

  // Half width and half height of a view in mm; `reach` is every shape's largest coordinate.
  frame(shape, reach, width, height) {
    const { first, second, t } = shape;
    const half = (MARGIN * ((1 - t) * reach[first] + t * reach[second])) / this.zoom;
    const aspect = width / height;
    if (aspect < WIDTH_TO_HEIGHT) return [half, half / aspect];
    return [(half * aspect) / WIDTH_TO_HEIGHT, half / WIDTH_TO_HEIGHT];
  }

  // What the address keeps: null where nothing was turned, else two rows of the rotation and the zoom.
  toText() {
    if (this.zoom === 1 && this.rotation === IDENTITY) return null;
    return [...this.rotation.slice(0, 6), this.zoom].map((value) => Number(value.toFixed(3))).join("_");
  }

  // Take a text of toText; the rounded rows are brought back to right angles and unit length.
  fromText(text) {
    const numbers = text.split("_").map(Number);
    if (numbers.length !== 7 || !numbers.every(Number.isFinite)) return;
    const unit = (row) => {
      const length = Math.hypot(...row);
      return row.map((value) => value / length);
    };
    const right = unit(numbers.slice(0, 3));
    const dot = right.reduce((sum, value, axis) => sum + value * numbers[3 + axis], 0);
    const up = unit(right.map((value, axis) => numbers[3 + axis] - dot * value));
    const cross = (i, j) => right[i] * up[j] - right[j] * up[i];
    const rotation = [...right, ...up, cross(1, 2), cross(2, 0), cross(0, 1)];
    if (!rotation.every(Number.isFinite)) return;
    this.rotation = rotation;
    this.zoom = 1;
    this.zoomBy(numbers[6]);
  }
}
