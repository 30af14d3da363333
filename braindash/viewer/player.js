// The player: sound, its picture and words, courses, and the surface, all at one time.

import { Address } from "./address.js";
import { Bars } from "./bars.js";
import { waitForArrays } from "./blobs.js";
import { Clock } from "./clock.js";
import { Courses, readCourses } from "./courses.js";
import { Series } from "./series.js";
import { SurfaceInTime } from "./surface.js";
import { Timeline, clockText, wordFrom } from "./timeline.js";

const TELL_MS = 200; // numbers are written five times a second, lines move with every frame
const KEPT_FRAMES = 600;
const THEME_MS = 1000;
const KINDS = ["first", "others", "difference"]; // the first series, the others, the first minus these
const KEYS = "left and right arrow go from row to row, comma and period from word to word, space plays, D shows the residual or the contrast, F unfolds, V changes the views, S saves a view, 1 to 9 go to saved views";

export class Player {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    root.classList.add("player");
    root.setAttribute("aria-label", `Story player: ${KEYS}`);
    this.part("layer").setAttribute("aria-label", "Time");
    const seek = (seconds) => this.seek(seconds);
    this.clock = new Clock({ changed: () => this.changed(), failed: () => this.silence("the browser cannot play this recording") });
    this.timeline = new Timeline({
      overview: this.part("overview"), overviewLine: this.part("overview-line"), page: this.part("page"),
      pageLine: this.part("page-line"), words: this.part("words"),
    }, seek);
    this.courses = new Courses({
      canvas: this.part("course"), line: this.part("course-line"), title: this.part("course-title"),
      legend: this.part("course-legend"), told: this.part("course-now"), notes: this.part("course-notes"),
    }, seek);
    this.bars = new Bars(this.part("regions"), {
      outline: (shown) => this.surface?.outline(shown), choose: (place) => this.chooseCourse(place),
    });
    Object.assign(this, { frames: [], asked: new Set(), delay: 0, own: true, told: 0 });
    this.shown = { first: true, others: true, difference: false };
    this.openSurface();
    this.address = this.surface?.address ?? new Address(root.dataset.address);
    this.channel = new MessageChannel();
    this.channel.port1.onmessage = () => this.measure();
    this.listen();
    this.watch = setInterval(() => this.followTheme(), THEME_MS);
    root.braindashPlayback = this;
  }

  openSurface() {
    try {
      this.surface = new SurfaceInTime(this.root, this);
    } catch (problem) {
      this.surface = null;
      this.part("body").classList.add("without-surface");
      this.part("fallback").hidden = false;
      this.part("fallback").querySelector("p").textContent = `${problem.message}: sound, words and courses play without the cortex.`;
      this.part("fallback").querySelector("img").hidden = true;
      this.root.addEventListener("keydown", (event) => this.keyWithoutSurface(event));
      this.part("layer").addEventListener("input", (event) => this.seek(Number(event.target.value)));
      this.part("play").addEventListener("click", () => this.toggle());
    }
  }

  // What is drawn on canvases has the ink of the theme, which may change at any time.
  followTheme() {
    const ink = getComputedStyle(this.root).color;
    if (this.ink && this.ink !== ink) {
      this.timeline.draw();
      this.courses.draw();
    }
    this.ink = ink;
  }

  leave() {
    clearInterval(this.watch);
    this.clock.pause();
    this.clock.release();
    cancelAnimationFrame(this.frame);
    this.timeline.leave();
    this.courses.leave();
    this.channel.port1.close();
    if (this.surface) this.surface.leave();
    else this.address.leave();
  }

  // ---- what is played --------------------------------------------------------------------

  async show(settings) {
    this.wanted = settings;
    const names = ["story", "courses", ...(settings.target ? ["target"] : [])];
    const [story, courses, target] = await Promise.all(names.map((name) => waitForArrays(settings[name])));
    if (this.wanted !== settings) return;
    const isNew = this.identity !== settings.identity;
    this.settings = settings;
    if (isNew) this.openStory(settings, story);
    this.useCourses(settings, readCourses(courses), target ? readCourses(target)[0] : null, isNew);
    if (this.surface) await this.useSurface(settings, isNew);
    if (this.wanted !== settings) return;
    this.takePieces(settings);
  }

  openStory(settings, story) {
    const { header } = story, isFirst = this.identity === undefined;
    const isOther = this.story?.name !== header.name;
    Object.assign(this, { identity: settings.identity, story: header });
    this.asked = new Set();
    this.series = settings.series.map(() => new Series(header.rows));
    this.timeline.setStory(story);
    const slider = this.part("layer");
    Object.assign(slider, { max: header.seconds, step: 0.1 });
    slider.setAttribute("aria-label", `Time in the ${header.what}`);
    this.clock.use(settings.audio, header.seconds);
    this.part("mute").hidden = !settings.audio;
    this.part("moment").hidden = !header.nBands && !header.words.length;
    if (settings.silent) this.silence(settings.silent);
    else this.part("sound-note").textContent = "";
    this.offerKinds(settings);
    if (isFirst) this.openChoices(settings);
    this.courses.setTiming(header, this.modelNames(), settings.unit);
    this.courses.setDelay(this.delay);
    // It opens where there is something to see: no row was recorded while the story began.
    const begins = Math.max(0, Math.min(header.first - this.delay, header.seconds));
    const asked = isFirst ? this.address.read("t") : null;
    if (isFirst || isOther) this.clock.seek(asked === null || Number.isNaN(Number(asked)) ? begins : Number(asked));
  }

  // Name what can be shown of these series; nothing is chosen where there is only one.
  offerKinds({ kinds, measured }) {
    for (const kind of KINDS) {
      this.part(`show-${kind}`).hidden = !(kind in kinds) || Object.keys(kinds).length < 2;
      this.part(`show-${kind}`).textContent = kinds[kind] ?? "";
    }
    this.part("ranges").hidden = !measured;
  }

  // What can be shown, as the address has it: "measured", "a-minus-b".
  wordOf(kind) {
    return this.settings.kinds[kind]?.toLowerCase().replaceAll(" ", "-");
  }

  // Take delay, panels and range from the address; offer what there is.
  openChoices(settings) {
    const menu = this.part("delay");
    const options = settings.delays.map((seconds, place) => (
      new Option(`moved by ${seconds} s${place ? "" : " (the middle of the model's delays)"}`, seconds)));
    menu.replaceChildren(new Option("as measured", 0), ...options);
    const wanted = this.address.read("delay");
    if ([...menu.options].some(({ value }) => value === wanted)) menu.value = wanted;
    this.delay = Number(menu.value);
    const words = (this.address.read("panels") ?? "").split("!");
    if (KINDS.some((kind) => words.includes(this.wordOf(kind)))) {
      this.shown = Object.fromEntries(KINDS.map((kind) => [kind, words.includes(this.wordOf(kind))]));
    }
    this.own = this.address.read("range") !== "same";
    this.part("range").value = this.own ? "own" : "same";
    this.markShown();
  }

  useCourses(settings, regions, target, isNew) {
    const models = this.modelNames();
    this.regionCourses = regions;
    this.target = target;
    if (isNew) this.bars.setCourses(regions, [], models); // the surface will say which can be outlined
    const clicked = settings.target && settings.target !== this.targetId;
    this.targetId = settings.target;
    if (clicked) this.chooseCourse("target");
    else if (isNew) this.chooseCourse(this.course === "target" && target ? "target" : settings.start);
  }

  modelNames() {
    return this.settings.series.slice(this.settings.measured ? 1 : 0).map(({ name }) => name);
  }

  chooseCourse(place) {
    this.course = place;
    this.courses.choose(place === "target" ? this.target : this.regionCourses[place]);
    this.bars.mark(place);
    this.courses.tell();
  }

  async useSurface(settings, isNew) {
    const names = ["geometry", "colours", "base"];
    const [geometry, colours, base] = await Promise.all(names.map((name) => waitForArrays(settings[name])));
    if (this.wanted !== settings) return;
    if (!isNew && this.surface.panels) {
      this.surface.wanted = settings;
      this.surface.root.classList.toggle("present", Boolean(settings.present));
      return;
    }
    this.surface.open(settings, { geometry, colours, base }, this.series);
    const { regions } = this.surface.base.header;
    this.bars.setCourses(this.regionCourses, regions, this.modelNames());
    this.bars.mark(this.course);
    this.choosePanels();
    this.surface.openOutlines(settings.outlined);
  }

  // ---- pieces of the series --------------------------------------------------------------

  takePieces(settings) {
    settings.series.forEach(({ sent }, place) => {
      for (const [number, id] of Object.entries(sent)) {
        const series = this.series[place];
        if (series.pieces.has(Number(number))) continue;
        waitForArrays(id).then((blob) => {
          if (this.series[place] !== series) return; // of another story or layer by now
          series.add(Number(number), blob, this.surface?.base.count ?? blob.arrays.maps.length);
          this.pieceCame();
        });
      }
    });
    this.pieceCame();
  }

  pieceCame() {
    const number = this.pieceAt(this.position), here = this.series.filter(({ pieces }) => pieces.has(number)).length;
    const { pieces } = this.settings;
    const isWhole = here === this.series.length;
    this.part("progress").textContent = isWhole || !this.surface ? ""
      : `Fetching the responses: ${here} of ${this.series.length} series of part ${number + 1} of ${pieces.length}`;
    if (isWhole || !this.surface) {
      this.root.dataset.ready = `${this.identity} ${number}`;
      this.need(number + 1);
    }
    this.drawMoment(true);
    this.surface?.redraw();
  }

  // Ask for a piece that nobody asked for yet.
  need(number) {
    const { pieces, series } = this.settings;
    if (!this.surface || number < 0 || number >= pieces.length || this.asked.has(number)) return;
    if (series.every(({ sent }) => number in sent)) return;
    this.asked.add(number);
    this.ask("piece", { number });
  }

  // The server does not see what was written into the address here, so it is told.
  ask(what, told) {
    this.component.setTriggerValue(what, { ...told, address: this.address.kept });
  }

  pieceAt(position) {
    const { pieces } = this.settings, row = Math.floor(position);
    const found = pieces.findIndex(([, stop]) => row < stop);
    return found < 0 ? pieces.length - 1 : found;
  }

  // ---- time ------------------------------------------------------------------------------

  // The place between rows that is shown at a time of the story.
  rowAt(seconds) {
    const { first, tr, rows } = this.story, position = (seconds + this.delay - first) / tr;
    // What is less than a millisecond off a row is that row.
    const near = Math.round(position);
    const exact = Math.abs(position - near) * tr < 1e-3 ? near : position;
    return exact > rows - 1 && exact < rows ? rows - 1 : exact;
  }

  get position() {
    return this.rowAt(this.clock.now);
  }

  seek(seconds) {
    if (this.story) this.clock.seek(seconds);
  }

  step(rows) {
    const { first, tr } = this.story, at = this.position;
    const wanted = rows > 0 ? Math.floor(at + 1e-6) + rows : Math.ceil(at - 1e-6) + rows;
    this.seek(first + Math.max(0, Math.min(wanted, this.story.rows - 1)) * tr - this.delay);
  }

  word(step) {
    const start = wordFrom(this.timeline.starts, this.clock.now, step);
    if (start !== null) this.seek(start + 1e-3);
  }

  toggle() {
    if (!this.story) return;
    if (this.clock.playing) this.clock.pause();
    else this.clock.play();
  }

  // The clock started, stopped or jumped.
  changed() {
    if (!this.story) return;
    const { playing } = this.clock;
    this.part("play").textContent = playing ? "Pause" : "Play";
    this.part("play").setAttribute("aria-pressed", playing);
    if (playing) this.run();
    else this.rest();
  }

  run() {
    if (this.frame) return;
    const step = () => {
      this.frame = null;
      if (!this.clock.playing) return this.rest();
      this.frame = requestAnimationFrame(step);
      this.drawMoment();
    };
    this.frame = requestAnimationFrame(step);
  }

  rest() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.drawMoment(true);
    this.surface?.rest();
    this.address.remember({ t: this.clock.now ? this.clock.now.toFixed(2) : null });
  }

  // Draw what belongs to now; `whole`: numbers too, which are else written now and then.
  drawMoment(whole = false) {
    if (!this.story || !this.series) return;
    const seconds = this.clock.now, position = this.rowAt(seconds), began = performance.now();
    if (this.surface?.panels) {
      const number = this.pieceAt(position);
      this.surface.setRow(position, number);
      if (!this.series[0].pieces.has(number)) this.need(number);
      if (this.clock.playing) this.surface.drawFrame();
    }
    this.timeline.show(seconds);
    this.courses.show(seconds, position);
    if (whole || began - this.told > TELL_MS) this.tell(seconds, position, began);
    if (this.clock.playing) this.note(seconds, began);
  }

  tell(seconds, position, now) {
    this.told = now;
    const slider = this.part("layer"), text = `${clockText(seconds)} of ${clockText(this.story.seconds)}`;
    slider.value = seconds;
    slider.setAttribute("aria-valuetext", text);
    this.part("layer-name").textContent = text.replace(" of ", " / ");
    this.courses.tell();
    this.bars.show(position, this.surface?.scene.score.high || this.settings.vmax);
    if (this.clock.playing) this.need(this.pieceAt(position) + 1);
  }

  // ---- measuring -------------------------------------------------------------------------

  // Remember a frame: `drawn` is the time of the story that it shows, `at` when it was begun.
  note(drawn, at) {
    const before = this.frames.at(-1);
    // How old the last picture was when this one took its place.
    if (before?.isRunning) before.age = drawn - before.drawn;
    this.frames.push({ drawn, at, isRunning: true, cost: performance.now() - at });
    if (this.frames.length > KEPT_FRAMES) this.frames.shift();
    this.channel.port2.postMessage(null);
  }

  // Behind the drawing, in a task of its own: what one hears by now, against what was drawn. With
  // `waits` set the graphics card is waited for, so that the time it takes counts.
  measure() {
    const frame = this.frames.at(-1);
    if (!frame || frame.lag !== undefined || !this.clock.playing) return;
    if (this.waits && !this.surface?.renderer.isSoftware) this.surface?.renderer.wait();
    frame.lag = this.clock.now - frame.drawn;
    frame.done = performance.now() - frame.at;
  }

  // ---- controls --------------------------------------------------------------------------

  listen() {
    const on = (part, kind, act) => this.part(part).addEventListener(kind, act);
    for (const kind of KINDS) on(`show-${kind}`, "click", () => this.toggleShown(kind));
    on("delay", "change", (event) => this.setDelay(Number(event.target.value)));
    on("range", "change", (event) => {
      this.own = event.target.value === "own";
      this.address.remember({ range: this.own ? null : "same" });
      this.choosePanels();
    });
    on("mute", "click", () => {
      this.clock.mute(!this.clock.muted);
      this.part("mute").setAttribute("aria-pressed", Boolean(this.clock.muted));
    });
  }

  setDelay(seconds) {
    this.delay = seconds;
    this.address.remember({ delay: seconds || null });
    this.courses.setDelay(seconds);
    this.changed();
  }

  toggleShown(kind) {
    const { kinds } = this.settings, shown = { ...this.shown, [kind]: !this.shown[kind] };
    if (!(kind in kinds) || !KINDS.some((one) => one in kinds && shown[one])) return; // something is always shown
    this.shown = shown;
    this.address.remember({ panels: KINDS.filter((one) => one in kinds && shown[one]).map((one) => this.wordOf(one)).join("!") });
    this.markShown();
    this.choosePanels();
  }

  markShown() {
    for (const kind of KINDS) this.part(`show-${kind}`).setAttribute("aria-pressed", this.shown[kind]);
  }

  // How much wider the range of colours of every series is, and that of their difference: of the
  // models the widest one, so that A and B stay comparable.
  gains() {
    const { measured, series, gain } = this.settings;
    if (!measured) return [...series.map(() => 1), gain];
    const [first, ...models] = series;
    const own = this.own ? Math.max(...models.map(({ span }) => span)) / first.span : 1;
    return [1, ...models.map(() => own), 1];
  }

  choosePanels() {
    if (!this.surface?.base) return;
    this.surface.choosePanels(this.shown, { gains: this.gains(), settings: this.settings });
    this.drawMoment(true);
  }

  silence(reason) {
    this.part("sound-note").textContent = `No sound: ${reason}`;
    this.part("mute").hidden = true;
  }

  keyWithoutSurface(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
    const acts = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), " ": () => this.toggle(),
      ",": () => this.word(-1), ".": () => this.word(1),
    };
    if (!acts[event.key] || !this.story) return;
    event.preventDefault();
    acts[event.key]();
  }
}
