// A colour scale: its ends, its colours and the bar that shows them.

const HIDDEN = [190, 190, 190];

export class Scale {
  // `low` and `high` are number inputs, `bar` a canvas; `changed` is called when an end was changed.
  constructor({ low, high, bar }, changed) {
    Object.assign(this, { inputs: { low, high }, bar, low: 0, high: 1, diverging: false });
    for (const end of ["low", "high"]) {
      this.inputs[end].addEventListener("change", (event) => {
        const value = Number(event.target.value);
        const ends = { low: this.low, high: this.high, [end]: value };
        // A diverging scale has 0 in its middle whichever end is typed.
        if (this.diverging) Object.assign(ends, { low: -Math.abs(value), high: Math.abs(value) });
        if (Number.isFinite(value) && ends.low < ends.high) this.setEnds(ends.low, ends.high);
        this.showEnds();
        changed();
      });
    }
  }

  setEnds(low, high) {
    this.high = high;
    this.low = this.diverging ? -high : low;
    this.showEnds();
  }

  showEnds() {
    for (const end of ["low", "high"]) this.inputs[end].value = this[end];
  }

  setColours(table, diverging) {
    // Back from a diverging scale, the lower end is 0 again.
    const low = this.diverging && !diverging ? 0 : this.low;
    Object.assign(this, { table, diverging });
    this.setEnds(low, this.high);
  }

  // Draw the bar; grey where `isHidden` says so of a value.
  describe(isHidden) {
    const context = this.bar.getContext("2d"), { width, height } = this.bar;
    for (let x = 0; x < width; x++) {
      const share = x / (width - 1), value = this.low + share * (this.high - this.low);
      const at = 3 * Math.round(share * 255);
      const [r, g, b] = isHidden(value) ? HIDDEN : this.table.subarray(at, at + 3);
      context.fillStyle = `rgb(${r},${g},${b})`;
      context.fillRect(x, 0, 1, height);
    }
  }
}
