// What is shown: maps of one model, a layer each, the difference of two models' shown layers, or
// two or three maps as colours that mix.

import { LARGEST_STEP, MISSING } from "./blobs.js";

// The layer of a model at a place of the slider, whose steps are the layers of the deepest model.
export function layerAt(place, steps, last) {
  return steps ? Math.round((place / steps) * last) : 0;
}

export class ScorePanel {
  // `full`: a longer name, for those who point at the short one.
  constructor({ header, arrays }, name, full = name) {
    this.full = full;
    this.header = header;
    this.maps = arrays.maps;
    this.bits = arrays.regions;
    this.count = arrays.maps.length / header.names.length;
    this.last = header.names.length - 1;
    this.name = name;
    this.held = null;
    this.layer = 0;
  }

  get sources() {
    return [this];
  }

  // Follow the slider, unless the panel is held at a layer of its own.
  follow(place, steps) {
    this.layer = this.held === null ? layerAt(place, steps, this.last) : Math.min(this.held, this.last);
  }

  get layerName() {
    return this.header.names[this.layer];
  }

  // The shown layer's bytes.
  get bytes() {
    return this.maps.subarray(this.layer * this.count, (this.layer + 1) * this.count);
  }

  get label() {
    return this.header.label;
  }

  // Value at a vertex of both hemispheres; null where there is none.
  valueAt(index) {
    const byte = this.maps[this.layer * this.count + index];
    const { low, high } = this.header;
    return byte === MISSING ? null : low + (byte / LARGEST_STEP) * (high - low);
  }

  regionMean(bit) {
    return this.header.regions[bit].means[this.layer];
  }
}

export class DifferencePanel {
  constructor(a, b, name) {
    Object.assign(this, { a, b, name });
    this.isDifference = true;
  }

  get sources() {
    return [this.a, this.b];
  }

  get layerName() {
    const [one, two] = this.sources.map((panel) => panel.layerName);
    return one === two ? one : `${one} minus ${two}`;
  }

  get label() {
    return this.name;
  }

  valueAt(index) {
    const [one, two] = this.sources.map((panel) => panel.valueAt(index));
    return one === null || two === null ? null : one - two;
  }
}

// Two or three panels in one: each has an ink, and where several have high values the inks mix.
export class MixPanel {
  constructor(parts, name) {
    Object.assign(this, { parts, name, isMix: true });
  }

  get sources() {
    return this.parts;
  }

  get layerName() {
    return [...new Set(this.parts.map((panel) => panel.layerName))].join(", ");
  }

  get label() {
    return this.name;
  }
}
