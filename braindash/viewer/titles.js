// The words over the canvas: a title per panel with its own layer, and the name of every view.

import { element } from "./dom.js";
import { arrange, isFlat } from "./layout.js";

export class Titles {
  // `changed` is called when a panel is held at its layer, moved there, or let go.
  constructor(titles, names, changed) {
    Object.assign(this, { titles, names, changed, rows: [] });
  }

  setPanels(panels) {
    this.panels = panels;
    this.rows = panels.length > 1 ? panels.map((panel) => this.makeTitle(panel)) : [];
    this.titles.replaceChildren(...this.rows.map(({ title }) => title));
  }

  makeTitle(panel) {
    const [title, name, layer] = [element("div", "title"), element("strong", "name"), element("span", "at")];
    name.textContent = panel.name;
    name.title = panel.full ?? panel.name;
    title.append(name, layer);
    if (panel.isDifference || panel.isMix || panel.last < 1) return { title, layer };
    const [hold, slider] = [element("input", ""), element("input", "")];
    Object.assign(hold, { type: "checkbox", title: "Hold this panel at its layer" });
    hold.setAttribute("aria-label", `Hold ${panel.name} at its layer`);
    Object.assign(slider, { type: "range", min: 0, max: panel.last, step: 1 });
    slider.setAttribute("aria-label", `Layer of ${panel.name}`);
    const label = element("label", "hold");
    label.append(hold, "hold");
    hold.addEventListener("change", () => {
      panel.held = hold.checked ? panel.layer : null;
      this.changed();
    });
    slider.addEventListener("input", () => {
      panel.held = Number(slider.value);
      this.changed();
    });
    title.append(label, slider);
    return { title, layer, hold, slider };
  }

  showLayers() {
    this.rows.forEach(({ layer, hold, slider }, index) => {
      const panel = this.panels[index];
      layer.textContent = panel.layerName;
      if (!hold) return;
      hold.checked = panel.held !== null;
      slider.hidden = panel.held === null;
      slider.value = panel.layer;
    });
  }

  place({ shape, views }, width, height) {
    const { panels, places } = arrange(this.panels.length, shape, width, height, views);
    this.rows.forEach(({ title }, index) => {
      const { x, y, width: wide } = panels[index];
      Object.assign(title.style, { left: `${x}px`, top: `${y}px`, width: `${wide}px` });
    });
    if (this.names.childElementCount !== places.length) {
      this.names.replaceChildren(...places.map(() => document.createElement("span")));
    }
    places.forEach(({ view, x, y }, index) => {
      const name = this.names.children[index];
      name.textContent = isFlat(shape) ? `${view.side}, flat` : `${view.side}, ${view.from}`;
      Object.assign(name.style, { left: `${x + 10}px`, top: `${y + 4}px` });
    });
  }
}
