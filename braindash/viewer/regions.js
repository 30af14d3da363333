// The list of regions: the mean of every panel at its shown layer, and the difference with its
// interval; a click outlines a region on the surface.

import { element, spoken } from "./dom.js";
import { inkOf } from "./inks.js";

const signed = (value) => spoken(value, 3, true);

export class RegionList {
  constructor(list, outline) {
    Object.assign(this, { list, outline, outlined: new Set(), rows: [] });
  }

  // `statistics`: {header, arrays} with a difference for every pair of layers, or null; `colours` of
  // the panels' bars, where they mix, else each region's own.
  setPanels(panels, statistics, colours = []) {
    this.colours = colours;
    this.scores = panels.filter((panel) => !panel.isDifference && !panel.isMix);
    this.difference = panels.find((panel) => panel.isDifference);
    this.statistics = statistics;
    this.reach = this.findReach();
    this.regions = this.scores[0].header.regions;
    this.list.style.setProperty("--scores", this.scores.length);
    this.list.classList.toggle("tabular", panels.length > 1);
    this.list.classList.toggle("with-difference", Boolean(this.difference));
    this.rows = this.regions.map((region, bit) => this.makeRow(region, bit));
    const head = panels.length > 1 ? [this.makeHead()] : [];
    this.list.replaceChildren(...head, ...this.rows.map(({ row }) => row));
    this.tellOutlines();
  }

  // The largest distance of an interval from 0, over all layers: bars keep their scale.
  findReach() {
    let reach = 0.01;
    for (const name of this.statistics ? ["difference", "low", "high"] : []) {
      for (const value of this.statistics.arrays[name]) {
        if (Math.abs(value) > reach) reach = Math.abs(value);
      }
    }
    return reach;
  }

  makeHead() {
    const head = element("div", "region head");
    head.append(element("span", "name", this.scores[0].header.heading));
    for (const panel of this.scores) head.append(element("span", "of", panel.name));
    if (this.difference) head.append(element("span", "of last", this.difference.name));
    return head;
  }

  makeRow(region, bit) {
    const row = element("button", "region");
    row.type = "button";
    row.title = "Outline this region on the surface; the percentage is the share of it that has data";
    row.setAttribute("aria-pressed", this.outlined.has(bit));
    const name = element("span", "name", region.name);
    if (region.coverage !== null) name.append(element("i", "coverage", `${Math.round(100 * region.coverage)}%`));
    row.append(name);
    const bars = this.scores.map((_, index) => {
      const [track, fill, value] = [element("span", "track"), element("i", ""), element("span", "value")];
      fill.style.background = this.colours[index] ?? region.colour;
      track.append(fill);
      row.append(track, value);
      return { fill, value };
    });
    const forest = this.difference ? this.makeForest(row) : null;
    row.addEventListener("click", () => {
      if (!this.outlined.delete(bit)) this.outlined.add(bit);
      row.setAttribute("aria-pressed", this.outlined.has(bit));
      this.tellOutlines();
    });
    return { row, bars, forest };
  }

  // Outline the regions of these names.
  outlineNames(names) {
    this.outlined = new Set(this.regions.flatMap(({ name }, bit) => (names.includes(name) ? [bit] : [])));
    this.rows.forEach(({ row }, bit) => row.setAttribute("aria-pressed", this.outlined.has(bit)));
    this.tellOutlines();
  }

  makeForest(row) {
    const [track, reach, point, text] = ["forest", "reach", "point", "difference"]
      .map((name) => element("span", name));
    track.append(reach, point);
    row.append(track, text);
    return { track, reach, point, text };
  }

  tellOutlines() {
    const shown = [...this.outlined].filter((bit) => bit < this.regions.length);
    this.outline(shown.map((bit) => ({ bit, ink: inkOf(this.regions[bit].colour) })));
  }

  // Write the means of the shown layers; `top` ends the score's scale.
  show(top) {
    // Numbers of regions are told as such; a mean of scores is hardly ever whole.
    const means = this.scores.map((score) => this.rows.map((_, bit) => score.regionMean(bit)));
    const digits = means.flat().every((mean) => mean === null || Number.isInteger(mean)) ? 0 : 3;
    this.rows.forEach(({ bars, forest }, bit) => {
      bars.forEach(({ fill, value }, index) => {
        const mean = means[index][bit];
        const share = mean === null ? 0 : Math.max(0, Math.min(1, mean / top));
        fill.style.width = `${100 * share}%`;
        value.textContent = mean === null ? "none" : spoken(mean, digits);
      });
      if (forest) this.showForest(forest, bit);
    });
  }

  // The difference of a region at the shown layers: {difference, low, high, p}, null where unknown.
  differenceOf(bit) {
    const { a, b } = this.difference;
    const found = {};
    const place = (a.layer * (b.last + 1) + b.layer) * this.regions.length + bit;
    for (const name of ["difference", "low", "high", "p"]) {
      const value = this.statistics ? this.statistics.arrays[name][place] : NaN;
      found[name] = Number.isFinite(value) ? value : null;
    }
    if (this.statistics) return found;
    const [one, two] = [a.regionMean(bit), b.regionMean(bit)];
    if (one !== null && two !== null) found.difference = one - two;
    return found;
  }

  showForest({ track, reach: bar, point, text }, bit) {
    const { difference, low, high, p } = this.differenceOf(bit);
    const percent = (value) => 50 + 50 * Math.max(-1, Math.min(1, value / this.reach));
    track.hidden = difference === null;
    text.textContent = difference === null ? "none" : signed(difference);
    point.style.left = `${percent(difference ?? 0)}%`;
    bar.hidden = low === null;
    const sure = low !== null && (low > 0 || high < 0);
    track.classList.toggle("sure", sure);
    text.classList.toggle("sure", sure);
    if (low === null) return;
    Object.assign(bar.style, { left: `${percent(low)}%`, width: `${percent(high) - percent(low)}%` });
    text.textContent += ` [${signed(low)}, ${signed(high)}]`;
    if (p !== null) text.textContent += `, p = ${p < 0.001 ? p.toExponential(1) : p.toPrecision(2)}`;
  }
}
