// The viewer: panels, controls, keyboard, pointer; everything but a click stays in the browser.

import { LARGEST_STEP, MISSING, unpackBlob, waitForBlob } from "./blobs.js";
import { Camera } from "./camera.js";
import { SIDES, readHemispheres } from "./geometry.js";
import { pickVertex } from "./picking.js";
import { Renderer } from "./renderer.js";

const MORPH_MS = 350;
const PLAY_MS = 450;
const CLICK_PIXELS = 4;

class Viewer {
  constructor(root, component) {
    this.root = root;
    this.component = component;
    this.camera = new Camera();
    this.scene = { shape: { first: "inflated", second: "inflated", t: 0 } };
    this.layer = 0;
    this.outlined = new Set();
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.canvas = this.part("canvas");
    this.renderer = new Renderer(this.canvas);
    this.listen();
  }

  // Stop everything that would outlive the page's viewer.
  leave() {
    this.play(false);
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.morphing);
    this.renderer.release();
  }

  // ---- data ------------------------------------------------------------------------------

  async show(data) {
    this.wanted = data;
    this.root.style.setProperty("--viewer-height", `${data.height}px`);
    const [geometry, maps, colours] = await Promise.all(
      [data.geometry, data.maps, data.colours].map(waitForBlob));
    if (this.wanted !== data) return; // a newer message came while the bytes travelled
    if (this.geometryId !== data.geometry) {
      this.geometryId = data.geometry;
      this.renderer.setGeometry(readHemispheres(unpackBlob(geometry)));
    }
    if (!this.colours) this.setColours(unpackBlob(colours));
    if (this.mapsId !== data.maps) this.setMaps(unpackBlob(maps), data);
    this.part("stamp").hidden = !data.simulated;
    this.drawNow();
    this.root.dataset.ready = data.maps;
  }

  setColours({ header, arrays }) {
    this.colours = arrays;
    this.diverging = new Set(header.diverging);
    const menu = this.part("colours");
    for (const name of Object.keys(arrays)) menu.append(new Option(name.replace("_r", ""), name));
  }

  setMaps({ header, arrays }, data) {
    const isFirst = !this.mapsId;
    this.mapsId = data.maps;
    this.maps = arrays.maps;
    this.bits = arrays.regions;
    this.header = header;
    this.count = this.bits.length;
    Object.assign(this.scene, { low: header.low, high: header.high });
    const slider = this.part("layer");
    slider.max = header.names.length - 1;
    if (isFirst) this.chosen = data.layer;
    if (isFirst || this.label !== header.label) this.setScale(data);
    this.label = header.label;
    this.part("label").textContent = header.label;
    this.listRegions();
    this.outline();
    // A single map has no layers: the chosen one waits for maps that do.
    this.hasLayers = header.names.length > 1;
    slider.disabled = this.part("play").disabled = !this.hasLayers;
    if (!this.hasLayers) this.play(false);
    this.setLayer(Math.min(this.chosen, header.names.length - 1));
  }

  setScale({ vmin, vmax, threshold, cmap }) {
    Object.assign(this.scene, { vmin, vmax, threshold });
    this.part("vmin").value = vmin;
    this.part("vmax").value = vmax;
    const slider = this.part("threshold");
    slider.max = vmax;
    slider.step = Math.max(vmax / 200, 1e-4);
    slider.value = threshold;
    this.part("colours").value = cmap;
    this.useColours(cmap);
    this.describeScale();
  }

  useColours(name) {
    this.scene.diverging = this.diverging.has(name);
    if (this.scene.diverging) this.scene.vmin = -this.scene.vmax;
    else this.scene.vmin = Math.max(0, Number(this.part("vmin").value));
    this.part("vmin").value = this.scene.vmin;
    this.tableName = name;
    this.renderer.setTable(this.colours[name]);
    this.describeScale();
  }

  // The colour bar, with grey below the threshold.
  describeScale() {
    const { vmin, vmax, threshold, diverging } = this.scene;
    this.part("threshold-value").textContent = threshold.toFixed(2);
    const bar = this.part("bar"), context = bar.getContext("2d");
    for (let x = 0; x < bar.width; x++) {
      const share = x / (bar.width - 1), value = vmin + share * (vmax - vmin);
      const at = 3 * Math.round(share * 255);
      const hidden = (diverging ? Math.abs(value) : value) < threshold;
      const [r, g, b] = hidden ? [190, 190, 190] : this.colours[this.tableName].subarray(at, at + 3);
      context.fillStyle = `rgb(${r},${g},${b})`;
      context.fillRect(x, 0, 1, bar.height);
    }
  }

  // ---- regions -----------------------------------------------------------------------------

  listRegions() {
    const list = this.part("regions");
    list.replaceChildren();
    this.header.regions.forEach((region, bit) => {
      const row = document.createElement("button");
      row.type = "button";
      row.className = "region";
      row.setAttribute("aria-pressed", this.outlined.has(bit));
      row.title = "Outline this region on the surface";
      const cells = { name: region.name, track: "", value: "" };
      for (const [name, text] of Object.entries(cells)) {
        const cell = document.createElement("span");
        cell.className = name;
        cell.textContent = text;
        row.append(cell);
      }
      const fill = document.createElement("i");
      fill.style.background = region.colour;
      row.querySelector(".track").append(fill);
      row.addEventListener("click", () => this.toggleOutline(bit, row));
      list.append(row);
    });
  }

  toggleOutline(bit, row) {
    if (!this.outlined.delete(bit)) this.outlined.add(bit);
    row.setAttribute("aria-pressed", this.outlined.has(bit));
    this.outline();
    this.redraw();
  }

  outline() {
    const ink = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
    const regions = [...this.outlined].filter((bit) => bit < this.header.regions.length);
    this.renderer.setOutlines(
      regions.map((bit) => ({ bit, ink: ink(this.header.regions[bit].colour) })), this.bits);
  }

  showRegionMeans() {
    const rows = this.part("regions").children;
    this.header.regions.forEach((region, bit) => {
      const mean = region.means[this.layer];
      const share = mean === null ? 0 : Math.max(0, Math.min(1, mean / this.scene.vmax));
      rows[bit].querySelector("i").style.width = `${100 * share}%`;
      rows[bit].querySelector(".value").textContent = mean === null ? "none" : mean.toFixed(3);
    });
  }

  // ---- layer, shape, drawing -----------------------------------------------------------------

  setLayer(layer) {
    this.layer = layer;
    if (this.hasLayers) this.chosen = layer;
    const name = this.header.names[layer];
    const slider = this.part("layer");
    slider.value = layer;
    slider.setAttribute("aria-valuetext", name);
    this.part("layer-name").textContent = name;
    this.renderer.setMap(this.maps.subarray(layer * this.count, (layer + 1) * this.count));
    this.showRegionMeans();
    if (this.hasLayers) this.rememberInAddress();
    this.redraw();
  }

  stepLayer(step) {
    const count = this.header.names.length;
    this.setLayer((this.layer + step + count) % count);
  }

  // The address is the share link; changing it here asks nothing of the server.
  rememberInAddress() {
    const address = new URL(globalThis.location.href);
    if (address.searchParams.get("layer") === String(this.layer)) return;
    address.searchParams.set("layer", this.layer);
    globalThis.history.replaceState(globalThis.history.state, "", address);
  }

  play(wanted) {
    const on = wanted && this.hasLayers;
    clearInterval(this.playing);
    this.playing = on ? setInterval(() => this.stepLayer(1), PLAY_MS) : null;
    this.part("play").textContent = on ? "Pause" : "Play";
    this.part("play").setAttribute("aria-pressed", on);
  }

  baseShape() {
    return this.part("shape").value;
  }

  unfold(t) {
    cancelAnimationFrame(this.morphing);
    this.part("unfold").value = t;
    this.scene.shape = t > 0
      ? { first: this.baseShape(), second: "flat", t: Number(t) }
      : { first: this.baseShape(), second: this.baseShape(), t: 0 };
    this.redraw();
  }

  morph(from, to, done) {
    cancelAnimationFrame(this.morphing);
    const start = performance.now();
    const step = (now) => {
      const t = Math.min(1, (now - start) / MORPH_MS);
      this.scene.shape = { first: from, second: to, t };
      this.drawNow();
      if (t < 1) this.morphing = requestAnimationFrame(step);
      else done();
    };
    this.morphing = requestAnimationFrame(step);
  }

  changeShape(to) {
    const from = this.scene.shape.first;
    this.part("unfold").value = 0;
    this.morph(from, to, () => this.unfold(0));
  }

  toggleFlat() {
    const flat = Number(this.part("unfold").value) > 0.5;
    this.camera.reset();
    if (flat) this.unfold(0);
    else this.morph(this.baseShape(), "flat", () => this.unfold(1));
  }

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (this.maps) this.renderer.draw(this.scene, this.camera);
    this.placePanelNames();
  }

  placePanelNames() {
    const box = this.canvas.getBoundingClientRect();
    const places = this.camera.layout(this.scene.shape, box.width, box.height);
    const names = this.part("names");
    if (names.childElementCount !== places.length) {
      names.replaceChildren(...places.map(() => document.createElement("span")));
    }
    places.forEach(({ panel, x, y }, index) => {
      const name = names.children[index];
      name.textContent = places.length === 2 ? `${panel.side}, flat` : `${panel.side}, ${panel.from}`;
      Object.assign(name.style, { left: `${x + 10}px`, top: `${y + 8}px` });
    });
  }

  // ---- pointer and keyboard ------------------------------------------------------------------

  // The vertex under the pointer, with its value and regions.
  under(event) {
    if (!this.maps) return null;
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const place = this.camera.layout(this.scene.shape, box.width, box.height)
      .find((p) => x >= p.x && x < p.x + p.width && y >= p.y && y < p.y + p.height);
    if (!place) return null;
    const [halfWidth, halfHeight] = this.camera.frame(this.scene.shape, this.renderer.reach, place.width, place.height);
    const at = [(((x - place.x) / place.width) * 2 - 1) * halfWidth,
      (1 - ((y - place.y) / place.height) * 2) * halfHeight];
    const { side } = place.panel;
    const hemispheres = this.renderer.hemispheres;
    const vertex = pickVertex(hemispheres[side], this.scene.shape, this.camera.matrix(place.panel), at);
    if (vertex < 0) return null;
    const index = vertex + (side === SIDES[0] ? 0 : hemispheres[SIDES[0]].count);
    const byte = this.maps[this.layer * this.count + index];
    const { low, high } = this.header;
    const value = byte === MISSING ? null : low + (byte / LARGEST_STEP) * (high - low);
    const regions = this.header.regions.filter((_, bit) => (this.bits[index] >> bit) & 1);
    return { side, vertex, index, value, regions: regions.map((region) => region.name) };
  }

  describe(event) {
    const found = this.under(event);
    const tip = this.part("tip");
    tip.hidden = !found;
    if (!found) return;
    const value = found.value === null ? "no value" : `${this.header.label} ${found.value.toFixed(2)}`;
    const lines = [value, found.regions.join(", "), `${found.side} vertex ${found.vertex}`];
    tip.textContent = lines.filter(Boolean).join("\n");
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const toLeft = x > box.width - 240;
    Object.assign(tip.style, {
      left: toLeft ? "" : `${x + 16}px`, right: toLeft ? `${box.width - x + 12}px` : "", top: `${y + 12}px`,
    });
  }

  pick(event) {
    const found = this.under(event);
    if (!found) return;
    const { side, vertex, index } = found;
    this.component.setTriggerValue("pick", { hemisphere: side, vertex, index, layer: this.layer });
  }

  listen() {
    let from = null, moved = 0;
    const canvas = this.canvas;
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
      this.camera.drag(dx, dy);
      this.redraw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (from && moved < CLICK_PIXELS) this.pick(event);
      from = null;
    });
    canvas.addEventListener("pointerleave", () => { this.part("tip").hidden = true; });
    canvas.addEventListener("dblclick", () => { this.camera.reset(); this.redraw(); });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.camera.zoomBy(Math.exp(-event.deltaY * 0.001));
      this.redraw();
    }, { passive: false });
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.listenToControls();
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(canvas);
  }

  listenToControls() {
    const on = (part, kind, act) => this.part(part).addEventListener(kind, act);
    on("layer", "input", (event) => this.setLayer(Number(event.target.value)));
    on("play", "click", () => this.play(!this.playing));
    on("threshold", "input", (event) => {
      this.scene.threshold = Number(event.target.value);
      this.describeScale();
      this.redraw();
    });
    on("colours", "change", (event) => { this.useColours(event.target.value); this.redraw(); });
    for (const end of ["vmin", "vmax"]) {
      on(end, "change", (event) => {
        const value = Number(event.target.value), { vmin, vmax } = { ...this.scene, [end]: value };
        if (!Number.isFinite(value) || vmin >= vmax) { event.target.value = this.scene[end]; return; }
        this.scene[end] = value;
        this.part("threshold").max = Math.max(this.scene.vmax, this.scene.threshold);
        this.describeScale();
        this.showRegionMeans();
        this.redraw();
      });
    }
    on("shape", "change", (event) => this.changeShape(event.target.value));
    on("unfold", "input", (event) => this.unfold(Number(event.target.value)));
    on("reset", "click", () => { this.camera.reset(); this.redraw(); });
  }

  key(event) {
    // Sliders and menus keep their own keys.
    if (["INPUT", "SELECT"].includes(event.target.tagName) || !this.header) return;
    const acts = {
      ArrowLeft: () => this.stepLayer(-1),
      ArrowRight: () => this.stepLayer(1),
      f: () => this.toggleFlat(),
      F: () => this.toggleFlat(),
      " ": () => this.play(!this.playing),
    };
    const act = acts[event.key];
    if (!act || (event.key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    act();
  }
}

const VIEWERS = new WeakMap();

function showFallback(root, data, problem) {
  root.querySelector('[data-part="stage"]').hidden = true;
  const note = root.querySelector('[data-part="fallback"]');
  note.hidden = false;
  note.querySelector("p").textContent =
    `${problem.message}: here is a static picture of ${data.fallback_name}.`;
  waitForBlob(data.fallback).then((bytes) => {
    note.querySelector("img").src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  });
}

export default function mount(component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".braindash-viewer");
  if (!root) return;
  try {
    if (!VIEWERS.has(root)) VIEWERS.set(root, new Viewer(root, component));
  } catch (problem) {
    // The server sends the picture once it knows that it is needed.
    if (!data.fallback) component.setStateValue("fallback", true);
    else showFallback(root, data, problem);
    return;
  }
  const viewer = VIEWERS.get(root);
  viewer.component = component;
  viewer.show(data);
  // Called before every update too: only a viewer that left the page is let go.
  return () => setTimeout(() => { if (!root.isConnected) viewer.leave(); });
}
