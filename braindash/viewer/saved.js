// Views that a visitor keeps, 1 to 9: camera, layer, threshold and shape, and the clicked vertex.

import { element } from "./dom.js";

const MOST = 9;

export function viewToText(state) {
  return Object.entries(state).filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}:${value}`).join(",");
}

export function viewFromText(text) {
  const state = {};
  for (const part of text.split(",")) {
    const [, name, value] = /^([a-z]+):([-\w.]+)$/.exec(part) ?? [];
    if (name) state[name] = value;
  }
  return state;
}

export class SavedViews {
  // `go` is called with a kept view; the address keeps them all.
  constructor(list, address, go) {
    Object.assign(this, { list, address, go, views: [] });
  }

  open() {
    const text = this.address.read("saved") ?? "";
    this.views = text.split("!").filter(Boolean).slice(0, MOST).map(viewFromText);
    this.draw();
  }

  save(state) {
    if (this.views.length === MOST) this.views.shift();
    this.views.push(viewFromText(viewToText(state)));
    this.keep();
  }

  remove(index) {
    this.views.splice(index, 1);
    this.keep();
  }

  keep() {
    this.address.remember({ saved: this.views.map(viewToText).join("!") || null });
    this.draw();
  }

  recall(index) {
    if (this.views[index]) this.go(this.views[index]);
  }

  draw() {
    this.list.replaceChildren(...this.views.map((view, index) => {
      const button = element("button", "saved", String(index + 1));
      button.type = "button";
      button.title = `Saved view ${index + 1}: layer ${view.layer ?? "as it is"}; Delete takes it away`;
      button.setAttribute("aria-label", `Saved view ${index + 1}`);
      button.addEventListener("click", () => this.recall(index));
      button.addEventListener("keydown", (event) => {
        if (event.key === "Delete") this.remove(index);
      });
      return button;
    }));
  }
}
