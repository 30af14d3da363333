// The measured and predicted course of one place, and r up to now; a line moves over both. Where
// nothing was measured, the predicted courses, and of two the first minus the second.

import { element, spoken } from "./dom.js";
import { clockText, fitCanvas, onScrub, tickStep } from "./timeline.js";

const AXIS = { left: 46, right: 54, bottom: 30, top: 8, between: 16 };
const RUNNING_SHARE = 0.27; // of the height: r so far
const CONTRAST_SHARE = 0.42;
const NICE = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
const DASHES = [[], [6, 4]];

// Read a blob of courses: one object per place.
export function readCourses({ header, arrays }) {
  const count = header.courses.length;
  const cut = (array, parts) => {
    const length = array.length / parts;
    return Array.from({ length: parts }, (_, place) => array.subarray(place * length, (place + 1) * length));
  };
  const [measured, predicted, running] = ["measured", "predicted", "running"].map((name) => (
    arrays[name] ? cut(arrays[name], count) : null));
  return header.courses.map((course, place) => {
    const models = course.r.length;
    return {
      ...course, measured: measured?.[place] ?? null, predicted: cut(predicted[place], models),
      running: running ? cut(running[place], models) : [],
    };
  });
}

// A value between two rows; NaN where one of them is missing, or outside.
export function between(values, position) {
  const row = Math.floor(position), mix = position - row;
  if (row < 0 || row > values.length - 1) return NaN;
  if (!mix) return values[row];
  return values[row] * (1 - mix) + (values[row + 1] ?? NaN) * mix;
}

// The first of two courses minus the second; null of one alone.
export function contrastOf({ measured, predicted: [one, two] }) {
  return measured || !two ? null : one.map((value, row) => value - two[row]);
}

// A round number of at least what is given.
export function niceEnd(value) {
  return NICE.find((one) => one >= value) ?? value;
}

export class Courses {
  // `parts`: {canvas, line, title, legend, now, notes}; `seek` is called with seconds.
  constructor(parts, seek) {
    Object.assign(this, parts, { course: null, names: [] });
    onScrub(this.canvas, (share, width) => {
      if (!this.course) return;
      const inside = (share * width - AXIS.left) / (width - AXIS.left - AXIS.right);
      seek(Math.max(0, Math.min(1, inside)) * this.seconds);
    });
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.canvas);
  }

  leave() {
    this.sizes.disconnect();
  }

  // `timing`: {seconds, first, tr, what}; `names` of the models, A first.
  setTiming({ seconds, first, tr, what }, names, unit) {
    Object.assign(this, { seconds, first, tr, what, names, unit });
  }

  // Responses are drawn so many seconds earlier than they were measured.
  setDelay(delay) {
    this.delay = delay;
    this.draw();
  }

  choose(course) {
    this.course = course;
    this.draw();
  }

  // Models' letters where there are two; else the one is "predicted".
  modelName(place) {
    return this.names.length > 1 ? "AB"[place] : "predicted";
  }

  draw() {
    const { course } = this;
    if (!course || !this.canvas.clientWidth) return;
    this.ink = getComputedStyle(this.canvas).color;
    this.title.textContent = course.title;
    this.notes.textContent = course.notes.join("; ");
    this.drawLegend();
    const { context, width, height } = fitCanvas(this.canvas);
    Object.assign(context, { font: `11px ${getComputedStyle(this.canvas).fontFamily}`, fillStyle: this.ink });
    this.contrast = contrastOf(course);
    const isAlone = !course.measured && !this.contrast, between = isAlone ? 0 : AXIS.between * (this.contrast ? 1.6 : 1);
    const inner = height - AXIS.top - AXIS.bottom - between;
    const low = isAlone ? 0 : Math.round(inner * (this.contrast ? CONTRAST_SHARE : RUNNING_SHARE));
    const area = { left: AXIS.left, right: width - AXIS.right };
    const [top, bottom] = [AXIS.top, AXIS.top + inner - low];
    this.drawSeries(context, { ...area, top, bottom });
    const below = { ...area, top: bottom + between, bottom: height - AXIS.bottom };
    if (course.measured) this.drawRunning(context, below);
    else if (this.contrast) this.drawContrast(context, below);
    this.drawTime(context, { ...area, bottom: height - AXIS.bottom, height });
    this.line.style.height = `${height - AXIS.bottom}px`;
    this.describe();
    this.show(this.now ?? 0, this.position ?? 0);
  }

  drawLegend() {
    const { course } = this;
    const sample = (name, colour, dash, r) => {
      const told = r === undefined || !course.measured ? "" : `, r ${r === null ? "unknown" : spoken(r, 2)}`;
      const made = element("span", "", name + told);
      const line = element("i", dash ? "sample dashed" : "sample");
      line.style.borderColor = colour;
      made.prepend(line);
      return made;
    };
    const models = this.names.map((name, place) => sample(name, course.colour, place > 0, course.r[place]));
    const measured = course.measured ? [sample("measured", "currentColor", false)] : [];
    this.legend.replaceChildren(...measured, ...models);
  }

  xOf(row, { left, right }) {
    return left + ((this.first + row * this.tr - this.delay) / this.seconds) * (right - left);
  }

  stroke(context, values, area, yOf, { colour, width, dash }) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
    context.setLineDash(dash);
    context.save();
    context.beginPath();
    context.rect(area.left, area.top - 2, area.right - area.left, area.bottom - area.top + 4);
    context.clip();
    context.beginPath();
    let isDrawn = false;
    values.forEach((value, row) => {
      const known = Number.isFinite(value);
      if (known) context[isDrawn ? "lineTo" : "moveTo"](this.xOf(row, area), yOf(value));
      isDrawn = known;
    });
    context.stroke();
    context.restore();
    context.setLineDash([]);
  }

  frame(context, area, ticks, yOf, title) {
    Object.assign(context, { globalAlpha: 0.85, textAlign: "right", textBaseline: "middle" });
    for (const tick of ticks) {
      context.globalAlpha = 0.15;
      context.fillRect(area.left, Math.round(yOf(tick)), area.right - area.left, 1);
      context.globalAlpha = 0.85;
      context.fillText(spoken(tick, Number.isInteger(tick) ? 0 : 1), area.left - 5, yOf(tick));
    }
    context.save();
    context.translate(11, (area.top + area.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(title, 0, 0);
    context.restore();
    context.globalAlpha = 1;
  }

  // Frame courses that lie around 0; gives where a value lies.
  aroundZero(context, area, courses, title) {
    const sizes = courses.flatMap((values) => Array.from(values, Math.abs));
    const end = niceEnd(Math.max(0.1, ...sizes.filter(Number.isFinite)));
    const yOf = (value) => area.top + (1 - (value / end + 1) / 2) * (area.bottom - area.top);
    this.frame(context, area, [-end, 0, end], yOf, title);
    return yOf;
  }

  drawContrast(context, area) {
    const yOf = this.aroundZero(context, area, [this.contrast], `A minus B (${this.unit})`);
    this.stroke(context, this.contrast, area, yOf, { colour: this.ink, width: 2, dash: [] });
  }

  drawSeries(context, area) {
    const { course } = this;
    const yOf = this.aroundZero(context, area, [course.measured ?? [], ...course.predicted], `response (${this.unit})`);
    context.globalAlpha = 0.7;
    if (course.measured) this.stroke(context, course.measured, area, yOf, { colour: this.ink, width: 1.5, dash: [] });
    context.globalAlpha = 1;
    course.predicted.forEach((values, place) => (
      this.stroke(context, values, area, yOf, { colour: course.colour, width: 2, dash: DASHES[place] })));
  }

  drawRunning(context, area) {
    const { course } = this, known = course.running.flatMap((values) => Array.from(values).filter(Number.isFinite));
    const low = Math.min(0, ...known) < -0.05 ? -1 : 0;
    const yOf = (value) => area.bottom - ((Math.max(value, low) - low) / (1 - low)) * (area.bottom - area.top);
    this.frame(context, area, low ? [-1, 0, 1] : [0, 0.5, 1], yOf, "r so far");
    const taken = [];
    course.running.forEach((values, place) => {
      this.stroke(context, values, area, yOf, { colour: course.colour, width: 2, dash: DASHES[place] });
      if (course.r[place] === null) return;
      let y = yOf(course.r[place]);
      for (const other of taken) if (Math.abs(other - y) < 12) y = other + (y < other ? -12 : 12);
      taken.push(y);
      Object.assign(context, { textAlign: "left", textBaseline: "middle", fillStyle: this.ink });
      const letter = this.names.length > 1 ? `${this.modelName(place)} ` : "";
      context.fillText(`${letter}${spoken(course.r[place], 2)}`, area.right + 5, y);
    });
  }

  drawTime(context, { left, right, bottom, height }) {
    Object.assign(context, { textAlign: "center", textBaseline: "top", globalAlpha: 0.85 });
    const step = tickStep(this.seconds, right - left, 60);
    for (let at = 0; at <= this.seconds; at += step) {
      const x = left + (at / this.seconds) * (right - left);
      context.fillRect(x, bottom, 1, 4);
      context.fillText(clockText(at), x, bottom + 4);
    }
    const moved = this.delay ? `; responses drawn ${this.delay} s earlier` : "";
    context.textBaseline = "bottom";
    context.fillText(`time in the ${this.what} (min:s)${moved}`, (left + right) / 2, height);
    context.globalAlpha = 1;
  }

  // What a reader of the screen hears of the drawing.
  describe() {
    const { course } = this;
    const r = (place) => (course.r[place] === null ? "without r" : `r ${spoken(course.r[place], 2)}`);
    const said = this.names.map((name, place) => (course.measured ? `${name} ${r(place)}` : name)).join(", ");
    this.canvas.setAttribute("aria-label", `${course.measured ? "Measured and predicted" : "Predicted"} course of ${course.title}: ${said}`);
  }

  // Move the line to a time; `position` is the place between rows that the maps show.
  show(seconds, position) {
    Object.assign(this, { now: seconds, position });
    if (!this.course) return;
    const inner = this.canvas.clientWidth - AXIS.left - AXIS.right;
    this.line.style.transform = `translateX(${AXIS.left + (seconds / this.seconds) * inner}px)`;
  }

  // Write the values of now: of the last row that was reached, and r up to it.
  tell() {
    const { course, position } = this;
    if (!course) return;
    const row = Math.floor(position), count = course.predicted[0].length, isInside = row >= 0 && row < count;
    if (!isInside) {
      this.told.textContent = `No row ${course.measured ? "was recorded" : "is predicted"} at this moment.`;
      return;
    }
    const value = (one) => (Number.isFinite(one) ? spoken(one, 2, true) : course.measured ? "not scored" : "none");
    const parts = course.measured ? [`measured ${value(course.measured[row])}`] : [];
    this.names.forEach((_, place) => {
      const r = course.running[place]?.[row];
      const far = Number.isFinite(r) ? `, r so far ${spoken(r, 2)}` : "";
      parts.push(`${this.modelName(place)} ${value(course.predicted[place][row])}${far}`);
    });
    if (this.contrast) parts.push(`A minus B ${value(this.contrast[row])}`);
    this.told.textContent = `Row ${row + 1} of ${count}: ${parts.join(" · ")}`;
  }
}
