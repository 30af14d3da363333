// The surface in time: the viewer, whose maps are rows of a series instead of layers.

import { PaintedRenderer } from "./painted.js";
import { Painter } from "./painter.js";
import { ScorePanel } from "./panels.js";
import { ResidualPanel, SeriesPanel } from "./series.js";
import { Viewer } from "./viewer.js";

export class SurfaceInTime extends Viewer {
  constructor(root, player) {
    super(root);
    Object.assign(this, { player, series: [], painter: this.renderer.painter ?? new Painter(this.part("painted")) });
    this.part("painted-note").hidden = !this.renderer.painter;
    this.display.mode = "every"; // islands of a moment mean nothing
    this.regions = player.bars;
  }

  // Without a graphics card's language the processor paints.
  openRenderer() {
    try {
      return super.openRenderer();
    } catch {
      return new PaintedRenderer(this.canvas);
    }
  }

  // ---- data ------------------------------------------------------------------------------

  open(settings, { geometry, colours, base }, series) {
    this.wanted = settings;
    this.series = series;
    this.root.classList.toggle("present", Boolean(settings.present));
    this.useGeometry(settings.geometry, geometry);
    this.painter.state = null;
    if (!this.colours) this.setColours(colours);
    this.base = new ScorePanel(base, "");
    this.part("stamp").hidden = !settings.simulated;
  }

  // Show these panels: the first series, the others, the first minus these.
  choosePanels(shown, { gains, settings }) {
    const isOwn = gains.some((gain) => gain !== 1), { kinds, measured } = settings;
    const isFirst = !this.panels, [first, ...others] = this.series;
    const label = `response (${settings.unit})`;
    // The end of a panel's own range is said, where ranges differ.
    const range = (gain) => (isOwn ? `± ${(this.scene.score.high * gain).toPrecision(2)}` : "");
    const told = (place, words, gain) => {
      const { name, layer } = settings.series[place];
      return { name, label, gain, describe: () => [layer, words, range(gain)].filter(Boolean).join(", ") };
    };
    const panels = [];
    if (shown.first || !others.length) panels.push(new SeriesPanel(this.base, first, told(0, measured ? "" : "predicted", gains[0])));
    if (shown.others) {
      others.forEach((one, at) => panels.push(new SeriesPanel(this.base, one, told(at + 1, "predicted", gains[at + 1]))));
    }
    if (shown.difference) {
      const words = kinds.difference?.toLowerCase() ?? "", gain = gains.at(-1);
      others.forEach((one, at) => {
        const named = measured ? told(at + 1, words, gain) : { ...told(0, "contrast", gain), name: kinds.difference };
        panels.push(new ResidualPanel(this.base, first, one, named));
      });
    }
    this.panels = panels;
    if (isFirst) this.openViews(settings);
    this.usePanels();
    this.setScale({ ...settings, vmin: -settings.vmax, difference: null }, isFirst);
    this.titles.showLayers();
    if (isFirst) this.openShape();
    if (isFirst) this.saved.open();
    this.redraw();
  }

  openViews(settings) {
    super.openViews(settings);
    this.display.mode = "every";
  }

  // ---- time ------------------------------------------------------------------------------

  // Go to a place between rows, of the piece of that number.
  setRow(position, number) {
    for (const one of this.series) if (one.show(position, number)) this.renderer.setMaps(one);
  }

  // Draw the moment alone: words and labels stay where they are.
  drawFrame() {
    if (!this.panels) return;
    if (this.renderer.isSoftware) this.painter.paint(this);
    else this.renderer.draw(this.scene, this.camera, false);
  }

  scaleChanged() {
    super.scaleChanged();
    this.titles.showLayers();
  }

  drawNow() {
    super.drawNow();
    if (this.player.clock.playing) clearTimeout(this.settling);
  }

  rest() {
    if (this.painter !== this.renderer.painter) this.painter.hide();
    this.redraw();
  }

  outline(shown) {
    super.outline(shown);
    this.drawnOutlines = shown.map(({ bit }) => bit).join("-");
  }

  // ---- what the viewer does with layers, here done with time -------------------------------

  setPlace(seconds) {
    this.player.seek(seconds);
  }

  stepLayer(step) {
    this.player.step(step);
  }

  play(wanted) {
    if (wanted) this.player.toggle();
  }

  toggleDifference() {
    this.player.toggleShown("difference");
  }

  pick({ side, vertex, index }) {
    this.picked = { side, vertex, index };
    this.player.ask("pick", { index });
  }

  viewState() {
    return { ...super.viewState(), t: this.player.clock.now.toFixed(2) };
  }

  restore(view) {
    super.restore(view);
    const seconds = Number(view.t);
    if (view.t !== undefined && Number.isFinite(seconds)) this.player.seek(seconds);
  }

  key(event) {
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const isField = ["INPUT", "SELECT"].includes(event.target.tagName);
    if (isPlain && !isField && [",", "."].includes(event.key) && !event.defaultPrevented) {
      event.preventDefault();
      this.player.word(event.key === "," ? -1 : 1);
    } else super.key(event);
  }
}
