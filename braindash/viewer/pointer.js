// The pointer: dragging turns every panel, the wheel zooms, hovering tells values, a click picks.

import { spoken } from "./dom.js";
import { SIDES, memberOf } from "./geometry.js";
import { arrange } from "./layout.js";
import { pickVertex } from "./picking.js";

const CLICK_PIXELS = 4;
const TIP_WIDTH = 280;

export class Pointer {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = viewer.canvas;
    this.tip = viewer.part("tip");
    this.twins = viewer.part("twins");
    this.listen();
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top, width: box.width, height: box.height };
  }

  // The vertex under the pointer, with the view it was seen in.
  under({ x, y, width, height }) {
    const { visible, scene, renderer, camera } = this.viewer;
    if (!visible) return null;
    const { places } = arrange(visible.length, scene.shape, width, height, scene.views);
    const place = places.find((p) => x >= p.x && x < p.x + p.width && y >= p.y && y < p.y + p.height);
    if (!place) return null;
    const [halfWidth, halfHeight] = camera.frame(scene.shape, renderer.reach, place.width, place.height);
    const point = [(((x - place.x) / place.width) * 2 - 1) * halfWidth,
      (1 - ((y - place.y) / place.height) * 2) * halfHeight];
    const { side } = place.view;
    const vertex = pickVertex(renderer.hemispheres[side], scene.shape, camera.matrix(place.view), point);
    if (vertex < 0) return null;
    const index = vertex + (side === SIDES[0] ? 0 : renderer.hemispheres[SIDES[0]].count);
    const twins = places.filter((other) => other.view === place.view)
      .map((other) => [other.x + x - place.x, other.y + y - place.y]);
    return { side, vertex, index, twins };
  }

  describe(event) {
    const here = this.at(event), found = this.under(here);
    this.tip.hidden = !found;
    this.markTwins(found ? found.twins : []);
    if (!found) return;
    const { panels, visible } = this.viewer, { bits, count, header } = panels[0];
    // What mixes is told part by part.
    const told = visible.flatMap((panel) => (panel.isMix ? panel.sources : [panel]));
    const lines = [...new Set(told)].map((panel) => {
      const value = panel.valueAt(found.index), known = value !== null;
      if (panels.length === 1) return known ? `${panel.label} ${spoken(value, 2)}` : "no value";
      return `${panel.name}, ${panel.layerName}: ${known ? spoken(value, 2, panel.isDifference) : "no value"}`;
    });
    const inside = header.regions.filter((_, bit) => memberOf(bits, count, found.index, bit));
    // Of a thinned mesh the vertices have other numbers.
    const place = header.numbered === false ? found.side : `${found.side} vertex ${found.vertex}`;
    lines.push(inside.map((region) => region.name).join(", "), place);
    this.tip.textContent = lines.filter(Boolean).join("\n");
    const toLeft = here.x > here.width - TIP_WIDTH;
    Object.assign(this.tip.style, {
      left: toLeft ? "" : `${here.x + 16}px`,
      right: toLeft ? `${here.width - here.x + 12}px` : "",
      top: `${here.y + 12}px`,
    });
  }

  // The same place in every panel.
  markTwins(twins) {
    const marks = twins.length > 1 ? twins : [];
    while (this.twins.childElementCount < marks.length) this.twins.append(document.createElement("i"));
    [...this.twins.children].forEach((mark, index) => {
      mark.hidden = index >= marks.length;
      if (mark.hidden) return;
      Object.assign(mark.style, { left: `${marks[index][0]}px`, top: `${marks[index][1]}px` });
    });
  }

  hideTip() {
    this.tip.hidden = true;
    this.markTwins([]);
  }

  listen() {
    let from = null, moved = 0;
    const { canvas, viewer } = this, { camera } = viewer;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      moved = 0;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return this.describe(event);
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      from = [event.clientX, event.clientY];
      this.hideTip();
      camera.drag(dx, dy);
      viewer.turned();
    });
    canvas.addEventListener("pointerup", (event) => {
      const found = from && moved < CLICK_PIXELS ? this.under(this.at(event)) : null;
      from = null;
      if (found) viewer.pick(found);
    });
    canvas.addEventListener("pointercancel", () => { from = null; });
    canvas.addEventListener("pointerleave", () => this.hideTip());
    canvas.addEventListener("dblclick", () => viewer.resetCamera());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      camera.zoomBy(Math.exp(-event.deltaY * 0.001));
      viewer.turned();
    }, { passive: false });
  }
}
