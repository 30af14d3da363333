// What draws where there is no WebGL2: the processor paints the surfaces, at rest as in time.

import { SIDES, outlinePairs, shapeReach } from "./geometry.js";
import { isFlat } from "./layout.js";
import { Painter } from "./painter.js";

const HIDDEN_MM = 2; // a border that lies deeper than this behind what is seen is not drawn

export class PaintedRenderer {
  constructor(canvas) {
    if (!canvas.getContext("2d")) throw new Error("This browser draws neither with WebGL2 nor on canvases");
    Object.assign(this, { canvas, isSoftware: true, outlines: [], panels: [], changes: 0, painter: new Painter(canvas) });
  }

  // What only a graphics card has to be told.
  release() {}
  wait() {}
  setTable() {}
  setMaps() {}
  setShown() {}
  setFaint() {}

  setGeometry(hemispheres) {
    this.hemispheres = hemispheres;
    this.reach = shapeReach(hemispheres);
    this.painter.state = null;
  }

  setPanels(panels) {
    this.panels = panels;
  }

  setOutlines(regions, bits, count) {
    this.outlines = [];
    this.changes += 1;
    let offset = 0;
    for (const side of SIDES) {
      const { faces, flatFaces, count: own } = this.hemispheres[side];
      for (const { bit, ink } of regions) {
        for (const flat of [false, true]) {
          const pairs = outlinePairs(flat ? flatFaces : faces, bits, offset, bit, count);
          this.outlines.push({ side, flat, ink, pairs });
        }
      }
      offset += own;
    }
  }

  draw(scene, camera, smooth, linesOnly = false) {
    if (!this.canvas.clientWidth || !this.canvas.clientHeight) return;
    if (linesOnly) this.drawLines(scene);
    else this.painter.paint({ scene, camera, renderer: this, visible: this.panels, drawnOutlines: this.changes });
  }

  // The borders of regions, where no part of the surface hides them.
  drawLines({ shape }) {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.lineWidth = 2;
    for (const { view, x, y, seen } of this.painter.places) {
      for (const { side, flat, ink, pairs } of this.outlines) {
        if (side !== view.side || flat !== isFlat(shape)) continue;
        context.strokeStyle = `rgb(${ink.map((part) => Math.round(255 * part)).join(" ")})`;
        context.beginPath();
        for (let i = 0; i < pairs.length; i += 4) this.line(context, pairs.slice(i, i + 4), seen, x, y);
        context.stroke();
      }
    }
  }

  line(context, [a, b, c, d], { screen, near, width, height }, left, top) {
    const middle = (axis, one, two) => (screen[axis][one] + screen[axis][two]) / 2;
    const [x, y, z] = ["x", "y", "z"].map((axis) => (middle(axis, a, b) + middle(axis, c, d)) / 2);
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    if (near[row * width + column] - z > HIDDEN_MM) return;
    context.moveTo(left + middle("x", a, b), top + middle("y", a, b));
    context.lineTo(left + middle("x", c, d), top + middle("y", c, d));
  }
}
