// The viewer: its panels, their layers, scales and shape; everything but a click stays in the browser.

import { Address } from "./address.js";
import { waitForArrays } from "./blobs.js";
import { Camera } from "./camera.js";
import { DISPLAYS, Display } from "./display.js";
import { readHemispheres } from "./geometry.js";
import { Labels } from "./labels.js";
import { VIEW_SETS, arrange } from "./layout.js";
import { inkOf, showKey } from "./inks.js";
import { DifferencePanel, MixPanel, ScorePanel } from "./panels.js";
import { drawPicture, saveFile } from "./picture.js";
import { Pointer } from "./pointer.js";
import { RegionList } from "./regions.js";
import { Renderer } from "./renderer.js";
import { SavedViews } from "./saved.js";
import { Scale } from "./scale.js";
import { Titles } from "./titles.js";

const MORPH_MS = 350;
const PLAY_MS = 450;
const SETTLE_MS = 600; // without a change, until software graphics draw smooth edges
// What the address keeps of a scale: its name there, and where the viewer has it.
const SCALE_NAMES = ["threshold", "low", "high", "colours", "spread"];
// Viewers of the page, the first of which gets the keys that nothing else takes.
const SHOWN_VIEWERS = (globalThis.braindashViewers ||= new Set());

export class Viewer {
  constructor(root) {
    this.root = root;
    this.camera = new Camera();
    this.address = new Address(root.dataset.address);
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.canvas = this.part("canvas");
    this.renderer = this.openRenderer();
    this.display = new Display(this.renderer);
    this.labels = new Labels(this.part("labels"));
    this.saved = new SavedViews(this.part("saved"), this.address, (view) => this.restore(view));
    this.regions = new RegionList(this.part("regions"), (shown) => this.outline(shown));
    this.titles = new Titles(this.part("titles"), this.part("names"), () => this.setPlace(this.position));
    this.scales = this.makeScales();
    this.scene = { shape: { first: "inflated", second: "inflated", t: 0 }, threshold: 0, views: "four", ...this.scales };
    this.listenToControls();
    new Pointer(this);
    root.addEventListener("keydown", (event) => this.key(event));
    SHOWN_VIEWERS.add(this);
    this.pageKey = (event) => this.keyOfPage(event);
    document.addEventListener("keydown", this.pageKey);
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(this.canvas);
  }

  openRenderer() {
    return new Renderer(this.canvas);
  }

  makeScales() {
    const ends = (low, high, bar) => ({ low: this.part(low), high: this.part(high), bar: this.part(bar) });
    const score = new Scale(ends("vmin", "vmax", "bar"), () => {
      this.address.remember({ low: score.diverging ? null : score.low, high: score.high });
      this.part("threshold").max = Math.max(score.high, this.scene.threshold);
      this.scaleChanged();
    });
    const difference = new Scale(ends("difference-low", "difference-high", "difference-bar"), () => {
      this.address.remember({ spread: difference.high });
      this.scaleChanged();
    });
    return { score, difference };
  }

  // Stop everything that would outlive the page's viewer.
  leave() {
    this.play(false);
    SHOWN_VIEWERS.delete(this);
    document.removeEventListener("keydown", this.pageKey);
    this.address.leave();
    this.sizes.disconnect();
    clearTimeout(this.settling);
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.morphing);
    this.renderer.release();
  }

  // ---- data ------------------------------------------------------------------------------

  async show(settings) {
    this.wanted = settings;
    if (settings.height) this.root.style.setProperty("--viewer-height", `${settings.height}px`);
    this.root.classList.toggle("present", Boolean(settings.present));
    this.part("body").classList.toggle("alone", settings.listsRegions === false);
    const ids = [settings.geometry, settings.colours, ...settings.panels.map((panel) => panel.maps)];
    if (settings.difference?.statistics) ids.push(settings.difference.statistics);
    const [geometry, colours, ...rest] = await Promise.all(ids.map(waitForArrays));
    if (this.wanted !== settings) return; // newer settings came while the bytes travelled
    this.useGeometry(settings.geometry, geometry);
    if (!this.colours) this.setColours(colours);
    const shown = JSON.stringify([settings.panels, settings.difference, settings.mix]);
    if (this.shown !== shown) this.setPanels(rest, settings);
    this.shown = shown;
    this.part("stamp").hidden = !settings.simulated;
    this.drawNow();
    this.root.dataset.ready = ids.slice(2).join(" ");
  }

  useGeometry(id, geometry) {
    if (this.geometryId === id) return;
    this.geometryId = id;
    this.renderer.setGeometry(readHemispheres(geometry));
    this.display.setGeometry(this.renderer.hemispheres);
    this.offerShapes(geometry.header.shapes);
    this.shown = null; // outlines are of the mesh
  }

  setColours({ header, arrays }) {
    this.colours = arrays;
    this.diverging = new Set(header.diverging);
    const menu = this.part("colours");
    for (const name of Object.keys(arrays)) menu.append(new Option(name.replace("_r", ""), name));
  }

  setPanels(blobs, settings) {
    const isFirst = !this.panels;
    const held = isFirst ? settings.held : this.panels.map((panel) => panel.held ?? null);
    const scores = settings.panels.map(({ name, full }, index) => new ScorePanel(blobs[index], name, full));
    scores.forEach((panel, index) => { panel.held = held[index] ?? null; });
    this.panels = scores;
    if (settings.difference) {
      this.panels = [...scores, new DifferencePanel(scores[0], scores[1], settings.difference.name)];
    }
    if (settings.mix) this.addMix(scores, settings.mix);
    const mixed = JSON.stringify(settings.mix);
    if (this.mixed !== mixed) this.solo = settings.mix?.alone ? "isMix" : null;
    this.mixed = mixed;
    if (isFirst) this.openViews(settings);
    this.usePanels();
    this.regions.setPanels(this.panels, blobs[scores.length] ?? null, settings.mix?.colours);
    if (isFirst) this.openOutlines(settings.outlined ?? []);
    this.part("use").hidden = this.panels.length < 2 || settings.listsRegions === false;
    this.part("heading").hidden = this.panels.length > 1;
    this.part("heading").textContent = this.panels[0].header.heading;
    this.part("difference-scale").hidden = !settings.difference;
    this.part("body").classList.toggle("stacked", this.panels.length > 1);
    this.setScale(settings, isFirst);
    this.setSteps(settings, isFirst);
    if (isFirst) this.openShape();
    if (isFirst) this.saved.open();
  }

  // One more panel, in which the others are inks that mix.
  addMix(scores, { name, colours }) {
    const inks = colours.slice(0, scores.length);
    this.scene.inks = inks.map(inkOf);
    this.panels = [...this.panels, new MixPanel(scores, name)];
    showKey(this.part("inks"), this.part("discs"), scores.map((panel) => panel.name), inks);
  }

  // The panels that are drawn: all of them, or one kind alone.
  usePanels() {
    this.visible = this.solo ? this.panels.filter((panel) => panel[this.solo]) : this.panels;
    if (!this.visible.length) this.visible = this.panels;
    this.part("mix-scale").hidden = !this.visible.some((panel) => panel.isMix);
    // Of inks alone the ends of the scale count, and no other colours.
    this.part("bar").hidden = this.visible.every((panel) => panel.isMix);
    this.renderer.setPanels(this.visible);
    this.display.forget();
    this.titles.setPanels(this.visible);
  }

  toggleDifference() {
    this.toggleSolo("isDifference");
  }

  // Show one kind of panel alone, or all again.
  toggleSolo(kind) {
    if (!this.panels.some((panel) => panel[kind])) return;
    this.solo = this.solo === kind ? null : kind;
    this.usePanels();
    this.titles.showLayers();
    this.redraw();
  }

  // ---- layers ----------------------------------------------------------------------------------

  setSteps(settings, isFirst) {
    const deepest = Math.max(...this.panels.map((panel) => panel.last ?? 0));
    this.steps = deepest;
    // A single map has no layers: the chosen one waits for maps that do.
    this.hasLayers = deepest > 0;
    const slider = this.part("layer");
    slider.max = deepest;
    slider.disabled = this.part("play").disabled = !this.hasLayers;
    if (isFirst) this.chosen = settings.layer;
    if (!this.hasLayers) this.play(false);
    this.setPlace(Math.min(this.chosen, deepest));
  }

  // Move the slider; panels follow unless they are held.
  setPlace(place) {
    this.position = place;
    for (const panel of this.panels) panel.follow?.(place, this.steps);
    const name = this.panels.find((panel) => panel.last === this.steps).header.names[place];
    const slider = this.part("layer");
    slider.value = place;
    slider.setAttribute("aria-valuetext", name);
    this.part("layer-name").textContent = name;
    this.titles.showLayers();
    this.regions.show(this.scene.score.high);
    if (this.hasLayers) {
      this.chosen = place;
      this.address.remember({ layer: place, hold: this.holdText() });
    }
    this.redraw();
  }

  // Held panels as the address has them: "A3B0"; null when all follow.
  holdText() {
    const held = this.panels.flatMap((panel, index) => (
      (panel.held ?? null) === null ? [] : [`${String.fromCharCode(65 + index)}${panel.held}`]));
    return held.length ? held.join("") : null;
  }

  stepLayer(step) {
    const count = this.steps + 1;
    this.setPlace((this.position + step + count) % count);
  }

  play(wanted) {
    const on = wanted && this.hasLayers;
    clearInterval(this.playing);
    this.playing = on ? setInterval(() => this.stepLayer(1), PLAY_MS) : null;
    this.part("play").textContent = on ? "Pause" : "Play";
    this.part("play").setAttribute("aria-pressed", on);
  }

  // ---- scales ----------------------------------------------------------------------------------

  // Another quantity brings its own scale; the address's counts for the first one only.
  setScale(settings, isFirst) {
    const { label } = this.panels[0];
    this.part("label").textContent = label;
    this.part("difference-label").textContent = settings.difference?.name ?? "";
    if (!isFirst && this.label === label) return;
    this.label = label;
    const own = (name, otherwise) => {
      const text = isFirst ? this.address.read(name) : null;
      return text !== null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : otherwise;
    };
    if (!isFirst) this.address.remember(Object.fromEntries(SCALE_NAMES.map((name) => [name, null])));
    const [low, high] = [own("low", settings.vmin), own("high", settings.vmax)];
    this.scales.score.setEnds(...(low < high ? [low, high] : [settings.vmin, settings.vmax]));
    const named = isFirst ? this.address.read("colours") : null;
    this.useColours(named in this.colours ? named : settings.cmap);
    if (settings.difference) this.setDifferenceScale(own("spread", settings.difference.end), settings.difference);
    this.scene.threshold = own("threshold", settings.threshold);
    const slider = this.part("threshold");
    slider.max = Math.max(this.scales.score.high, this.scene.threshold);
    slider.step = Math.max(this.scales.score.high / 200, 1e-4);
    slider.value = this.scene.threshold;
    this.describeScales();
  }

  setDifferenceScale(end, { cmap }) {
    this.scales.difference.setColours(this.colours[cmap], true);
    this.scales.difference.setEnds(-end, end);
    this.renderer.setTable("difference", this.colours[cmap]);
  }

  useColours(name) {
    this.part("colours").value = name;
    this.scales.score.setColours(this.colours[name], this.diverging.has(name));
    this.renderer.setTable("score", this.colours[name]);
  }

  // The colour bars, the score's grey below the threshold.
  describeScales() {
    const { threshold } = this.scene, { score, difference } = this.scales;
    this.part("threshold-value").textContent = threshold.toFixed(2);
    score.describe((value) => (score.diverging ? Math.abs(value) : value) < threshold);
    if (difference.table) difference.describe(() => false);
  }

  scaleChanged() {
    this.describeScales();
    this.regions.show(this.scene.score.high);
    this.redraw();
  }

  // ---- shape and drawing -----------------------------------------------------------------------

  outline(shown) {
    const { bits, count, header } = this.panels[0];
    this.renderer.setOutlines(shown, bits, count);
    const named = shown.map(({ bit }) => ({ bit, ...header.regions[bit] }));
    this.labels.setRegions(named, this.panels[0], this.renderer.hemispheres);
    const names = named.map(({ name }) => name);
    // What is outlined at first is left out of the address.
    const usual = names.join("!") === (this.usualOutlines ?? []).join("!");
    if (this.usualOutlines) this.address.remember({ outlines: usual ? null : names.join("!") || "none" });
    this.redraw();
  }

  openOutlines(usual) {
    const known = this.panels[0].header.regions.map(({ name }) => name);
    const text = this.address.read("outlines");
    const wanted = text === null ? usual : text.split("!");
    this.usualOutlines = known.filter((name) => usual.includes(name));
    this.regions.outlineNames(wanted);
  }

  // ---- views and display -----------------------------------------------------------------------

  openViews(settings) {
    const [views, display] = ["views", "display"].map((name) => this.address.read(name));
    this.usualViews = settings.views ?? "four";
    this.setViews(Object.hasOwn(VIEW_SETS, views ?? "") ? views : this.usualViews);
    this.setDisplay(Object.hasOwn(DISPLAYS, display ?? "") ? display : "islands");
  }

  setViews(name) {
    this.scene.views = this.part("views").value = name;
    this.address.remember({ views: name === this.usualViews ? null : name });
    this.redraw();
  }

  nextViews() {
    const names = Object.keys(VIEW_SETS);
    this.setViews(names[(names.indexOf(this.scene.views) + 1) % names.length]);
  }

  setDisplay(mode) {
    this.display.mode = this.part("display").value = mode;
    this.part("display-note").textContent = DISPLAYS[mode];
    this.address.remember({ display: mode === "islands" ? null : mode });
    this.redraw();
  }

  // What a saved view keeps; the clicked vertex by its number among all that are drawn.
  viewState() {
    const { shape, threshold, views } = this.scene;
    return {
      layer: this.hasLayers ? this.position : null, hold: this.holdText(), threshold,
      turn: this.camera.toText(), shape: this.baseShape(), unfold: shape.t || null, views,
      vertex: this.picked?.index,
    };
  }

  restore(view) {
    const number = (name, otherwise) => (Number.isFinite(Number(view[name])) ? Number(view[name]) : otherwise);
    this.camera.reset();
    if (view.turn) this.camera.fromText(view.turn);
    if (Object.hasOwn(VIEW_SETS, view.views ?? "")) this.setViews(view.views);
    if ([...this.part("shape").options].some(({ value }) => value === view.shape)) this.part("shape").value = view.shape;
    this.setThreshold(number("threshold", this.scene.threshold));
    this.unfold(Math.min(1, Math.max(0, number("unfold", 0))));
    const held = Object.fromEntries((view.hold ?? "").match(/[A-D]\d+/g)?.map((one) => [one[0], Number(one.slice(1))]) ?? []);
    this.panels.forEach((panel, index) => {
      if (!panel.isDifference) panel.held = held[String.fromCharCode(65 + index)] ?? null;
    });
    if (this.hasLayers) this.setPlace(Math.max(0, Math.min(Math.round(number("layer", this.position)), this.steps)));
    this.turned();
    this.pickAgain(number("vertex", -1));
  }

  pickAgain(index) {
    const { left, right } = this.renderer.hemispheres;
    if (index < 0 || index >= left.count + right.count || index === this.picked?.index) return;
    const side = index < left.count ? "left" : "right";
    this.pick({ side, vertex: side === "left" ? index : index - left.count, index });
  }

  savePicture() {
    this.drawNow();
    const { score, difference } = this.scales;
    const described = (scale, label) => ({ label: this.part(label).textContent, low: scale.low, high: scale.high, bar: scale.bar });
    const scales = [{ ...described(score, "label"), bar: this.part("bar").hidden ? null : score.bar }];
    if (!this.part("mix-scale").hidden) {
      const inks = [...this.part("inks").children].map((word) => ({ name: word.textContent, colour: word.style.borderColor }));
      scales.push({ inks, bar: this.part("discs") });
    }
    if (difference.table && !this.part("difference-scale").hidden) scales.push(described(difference, "difference-label"));
    const stamp = this.part("stamp").hidden ? [] : ["SIMULATED DATA"];
    const shown = `${this.part("layer-name").textContent}; threshold ${this.scene.threshold.toFixed(2)}. ${DISPLAYS[this.display.mode]}`;
    const lines = [...stamp, this.wanted.source, shown].filter(Boolean);
    saveFile(drawPicture({ root: this.root, canvas: this.canvas, scales, lines }), "braindash-cortex.png");
  }

  // Offer what the mesh has; the menu keeps its choice where that is there.
  offerShapes(shapes) {
    const menu = this.part("shape"), before = menu.value;
    const bases = shapes.filter((shape) => shape !== "flat");
    const names = { white: "white matter" };
    menu.replaceChildren(...bases.map((shape) => new Option(names[shape] ?? shape, shape)));
    menu.value = bases.includes(before) ? before : bases[0];
    this.hasFlat = shapes.includes("flat");
    this.part("unfold").disabled = !this.hasFlat;
    if (this.panels) this.unfold(this.hasFlat ? this.part("unfold").value : 0);
    else this.scene.shape = { first: menu.value, second: menu.value, t: 0 };
  }

  baseShape() {
    return this.part("shape").value;
  }

  // Take shape, unfolding and camera from the address.
  openShape() {
    const [shape, unfolded, turn] = ["shape", "unfold", "turn"].map((name) => this.address.read(name));
    if ([...this.part("shape").options].some((option) => option.value === shape)) this.part("shape").value = shape;
    if (turn) this.camera.fromText(turn);
    this.unfold(Math.min(1, Math.max(0, Number(unfolded) || 0)));
  }

  unfold(wanted) {
    cancelAnimationFrame(this.morphing);
    const t = this.hasFlat ? wanted : 0;
    this.part("unfold").value = t;
    this.scene.shape = t > 0
      ? { first: this.baseShape(), second: "flat", t: Number(t) }
      : { first: this.baseShape(), second: this.baseShape(), t: 0 };
    const shape = this.baseShape();
    const usual = shape === this.part("shape").options[0].value;
    this.address.remember({ shape: usual ? null : shape, unfold: t > 0 ? t : null });
    this.redraw();
  }

  morph(from, to, done) {
    cancelAnimationFrame(this.morphing);
    const start = performance.now();
    const step = (now) => {
      const t = Math.max(0, Math.min(1, (now - start) / MORPH_MS));
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
    if (!this.hasFlat) return;
    const flat = Number(this.part("unfold").value) > 0.5;
    this.resetCamera();
    if (flat) this.unfold(0);
    else this.morph(this.baseShape(), "flat", () => this.unfold(1));
  }

  turned() {
    this.address.remember({ turn: this.camera.toText() });
    this.redraw();
  }

  resetCamera() {
    this.camera.reset();
    this.turned();
  }

  redraw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (!this.panels) return;
    clearTimeout(this.settling);
    this.display.prepare(this.visible, this.scene);
    const draw = (smooth) => this.renderer.draw(this.scene, this.camera, smooth);
    draw(!this.renderer.isSoftware);
    if (this.renderer.isSoftware) this.settling = setTimeout(() => draw(true), SETTLE_MS);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.titles.place(this.scene, width, height);
    const { places } = arrange(this.visible.length, this.scene.shape, width, height, this.scene.views);
    this.labels.place(this.scene.shape, places, this.camera, this.renderer.reach, this.renderer.hemispheres);
  }

  // ---- controls --------------------------------------------------------------------------------

  // The server does not see what was written into the address here, so it is told.
  pick({ side, vertex, index }) {
    const address = this.address.kept;
    this.picked = { side, vertex, index };
    this.component.setTriggerValue("pick", { hemisphere: side, vertex, index, layer: this.position, address });
  }

  listenToControls() {
    const on = (part, kind, act) => this.part(part).addEventListener(kind, act);
    on("layer", "input", (event) => this.setPlace(Number(event.target.value)));
    on("play", "click", () => this.play(!this.playing));
    on("threshold", "input", (event) => this.setThreshold(Number(event.target.value)));
    on("views", "change", (event) => this.setViews(event.target.value));
    on("display", "change", (event) => this.setDisplay(event.target.value));
    on("save", "click", () => this.saved.save(this.viewState()));
    on("picture", "click", () => this.savePicture());
    on("colours", "change", (event) => {
      this.useColours(event.target.value);
      this.address.remember({ colours: event.target.value });
      this.scaleChanged();
    });
    on("shape", "change", (event) => this.changeShape(event.target.value));
    on("unfold", "input", (event) => this.unfold(Number(event.target.value)));
    on("reset", "click", () => this.resetCamera());
    on("use", "click", () => this.component.setTriggerValue("use", { address: this.address.kept }));
  }

  setThreshold(value) {
    this.scene.threshold = value;
    this.part("threshold").value = value;
    this.address.remember({ threshold: value });
    this.describeScales();
    this.redraw();
  }

  // Keys that no element of the page has taken: the viewer need not be clicked first.
  keyOfPage(event) {
    if (document.activeElement !== document.body || SHOWN_VIEWERS.values().next().value !== this) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.key(event);
  }

  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    // Sliders and menus keep their own keys.
    if (["INPUT", "SELECT"].includes(event.target.tagName) || !this.panels) return;
    const acts = {
      ArrowLeft: () => this.stepLayer(-1),
      ArrowRight: () => this.stepLayer(1),
      f: () => this.toggleFlat(),
      d: () => this.toggleDifference(),
      m: () => this.toggleSolo("isMix"),
      v: () => this.nextViews(),
      s: () => this.saved.save(this.viewState()),
      " ": () => this.play(!this.playing),
    };
    if (/^[1-9]$/.test(event.key)) acts[event.key] = () => this.saved.recall(Number(event.key) - 1);
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (event.key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    act();
  }
}
