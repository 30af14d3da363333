// The list of regions while the story plays: what is measured and predicted now, as bars from 0.

import { element, spoken } from "./dom.js";
import { between } from "./courses.js";
import { inkOf } from "./inks.js";

export class Bars {
  // `outline` is called with the regions to outline, `choose` with the place of a course.
  constructor(list, { outline, choose }) {
    Object.assign(this, { list, outline, choose, outlined: new Set(), rows: [], regions: [] });
  }

  // `courses`: all of them, "all targets" first; `regions`: those of the surface, in the order of bits.
  setCourses(courses, regions, names) {
    this.courses = courses;
    this.regions = regions;
    this.isMeasured = courses.some(({ measured }) => measured);
    this.series = this.isMeasured ? ["measured", ...names] : names;
    this.rows = courses.map((course, place) => this.makeRow(course, place));
    this.list.replaceChildren(...this.rows.map(({ row }) => row));
  }

  makeRow(course, place) {
    const row = element("button", "region moving");
    row.type = "button";
    row.title = "Show this region's course, and outline it on the surface";
    row.append(element("span", "name", course.title));
    const bars = this.series.map((_, which) => {
      const place = this.isMeasured ? which : which + 1; // the first is in the ink of the page
      const [track, fill] = [element("span", "signed"), element("i", place > 1 ? "second" : "")];
      fill.style.background = place ? course.colour : "currentColor";
      track.append(fill);
      return { track, fill };
    });
    const value = element("span", "value");
    const tracks = element("span", "tracks");
    tracks.append(...bars.map(({ track }) => track));
    row.append(tracks, value);
    row.addEventListener("click", () => {
      this.choose(place);
      this.toggle(course.title);
    });
    return { row, bars, value };
  }

  // Outline the regions of these names on the surface.
  outlineNames(names) {
    this.outlined = new Set(names);
    this.tellOutlines();
  }

  toggle(name) {
    if (!this.regions.some((region) => region.name === name)) return;
    this.outlined.add(name);
    this.tellOutlines();
  }

  tellOutlines() {
    const shown = this.regions.flatMap((region, bit) => (this.outlined.has(region.name) ? [bit] : []));
    this.outline(shown.map((bit) => ({ bit, ink: inkOf(this.regions[bit].colour) })));
  }

  mark(place) {
    this.rows.forEach(({ row }, one) => row.setAttribute("aria-pressed", one === place));
  }

  // Draw the values at a place between rows; `top` ends the bars.
  show(position, top) {
    this.rows.forEach(({ bars, value }, place) => {
      const { measured, predicted } = this.courses[place];
      const now = [...(measured ? [measured] : []), ...predicted].map((one) => between(one, position));
      now.forEach((one, which) => {
        const share = Number.isFinite(one) ? Math.max(-1, Math.min(1, one / top)) : 0;
        Object.assign(bars[which].fill.style, { left: `${50 + 50 * Math.min(0, share)}%`, width: `${50 * Math.abs(share)}%` });
      });
      value.textContent = now.map((one) => (Number.isFinite(one) ? spoken(one, 2, true) : "none")).join("  ");
    });
  }
}
