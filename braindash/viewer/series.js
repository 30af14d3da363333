// Responses over time: a series of maps, a byte per value and row, in pieces that come one by one.

import { LARGEST_STEP, MISSING } from "./blobs.js";

export class Series {
  constructor(nRows) {
    Object.assign(this, {
      nRows, pieces: new Map(), piece: null, maps: new Uint8Array(0), layer: 0, mix: 0, blank: true,
      count: 0, header: { low: -1, high: 1 },
    });
  }

  add(number, { header, arrays }, count) {
    this.count = count;
    this.header = header;
    this.pieces.set(number, { header, first: header.first, maps: arrays.maps, rows: arrays.maps.length / count });
  }

  // Go to a place between rows: 2.25 is a quarter of the way from row 2 to row 3. True where other
  // bytes are shown than before.
  show(position, number) {
    const inside = position >= 0 && position <= this.nRows - 1;
    const piece = inside ? this.pieces.get(number) : undefined;
    const row = Math.min(Math.floor(position), this.nRows - 1);
    this.blank = !piece || row - piece.first >= piece.rows;
    if (this.blank) return false;
    this.layer = Math.max(0, Math.min(row - piece.first, piece.rows - 1));
    this.mix = this.layer < piece.rows - 1 ? position - row : 0;
    if (this.piece === piece) return false;
    this.piece = piece;
    this.maps = piece.maps;
    return true;
  }

  // The value that is drawn at a vertex; null where there is none.
  valueAt(index) {
    if (this.blank) return null;
    const { low, high } = this.header, at = this.layer * this.count + index;
    const bytes = [this.maps[at], this.mix ? this.maps[at + this.count] : 0];
    if (bytes.includes(MISSING)) return null;
    const byte = bytes[0] + this.mix * (bytes[1] - bytes[0]);
    return low + (byte / LARGEST_STEP) * (high - low);
  }
}

// What was measured, or what a model predicts, on the surface. `base` is the panel of the model's
// scores: it knows regions and vertices.
export class SeriesPanel {
  constructor(base, series, { name, describe, label, gain }) {
    Object.assign(this, { base, series, name, describe, label, gain, last: 0, held: null });
    Object.assign(this, { header: base.header, bits: base.bits, count: base.count });
  }

  get sources() {
    return [this.series];
  }

  get layerName() {
    return this.describe();
  }

  valueAt(index) {
    return this.series.valueAt(index);
  }
}

// What was measured minus what a model predicts.
export class ResidualPanel extends SeriesPanel {
  constructor(base, measured, predicted, told) {
    super(base, measured, told);
    this.predicted = predicted;
    this.isResidual = true;
  }

  get sources() {
    return [this.series, this.predicted];
  }

  valueAt(index) {
    const [one, two] = this.sources.map((series) => series.valueAt(index));
    return one === null || two === null ? null : one - two;
  }
}
