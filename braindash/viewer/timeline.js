// The sound over time: the whole story, and a page of some seconds with its words. Only lines move;
// the canvases are drawn when their page, their size or the theme changes.

import { element } from "./dom.js";

const PIXELS_PER_SECOND = 165, LONGEST_PAGE = 12, SHORTEST_PAGE = 2.5;
const LANES = 2, LANE = 20, GAP = 6; // pixels of the words' rows, and between two words
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];

export function clockText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// The place of the last of increasing starts that is not behind `seconds`; -1 before the first.
export function placeAt(starts, seconds) {
  let low = 0, high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// The start of the word before the one at `seconds`, or of the next one.
export function wordFrom(starts, seconds, step) {
  const here = placeAt(starts, seconds + 1e-3);
  // Well inside a word, the step back goes to its own beginning.
  const inside = step < 0 && here >= 0 && seconds - starts[here] > 0.3;
  const wanted = Math.max(0, Math.min(starts.length - 1, inside ? here : here + step));
  return starts.length ? starts[wanted] : null;
}

// Distances of ticks that leave room for their words.
export function tickStep(seconds, width, least = 70) {
  return TICKS.find((step) => (step / seconds) * width >= least) ?? TICKS.at(-1);
}

// Size a canvas to its place; its context counts in CSS pixels.
export function fitCanvas(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const density = Math.min(2, globalThis.devicePixelRatio || 1);
  Object.assign(canvas, { width: Math.round(width * density), height: Math.round(height * density) });
  const context = canvas.getContext("2d");
  context.scale(density, density);
  return { context, width, height };
}

// Call `act` with the share of an element's width where the pointer is pressed or dragged.
export function onScrub(target, act) {
  const at = (event) => {
    const box = target.getBoundingClientRect();
    act(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)), box.width);
  };
  target.addEventListener("pointerdown", (event) => {
    target.setPointerCapture(event.pointerId);
    at(event);
  });
  target.addEventListener("pointermove", (event) => { if (event.buttons & 1) at(event); });
}

export class Timeline {
  // `parts`: {overview, overviewLine, page, pageLine, words}; `seek` is called with seconds.
  constructor(parts, seek) {
    Object.assign(this, parts, { seconds: 1, start: 0, length: 1, words: [], starts: [], shownPage: null });
    this.wordLayer = parts.words;
    this.words = [];
    onScrub(this.overview, (share) => seek(share * this.seconds));
    onScrub(this.page, (share) => seek(Math.min(this.seconds, this.start + share * this.length)));
    this.sizes = new ResizeObserver(() => this.draw());
    for (const canvas of [this.overview, this.page]) this.sizes.observe(canvas);
  }

  leave() {
    this.sizes.disconnect();
  }

  setStory({ header, arrays }) {
    Object.assign(this, { header, loudness: arrays.loudness, bands: arrays.bands, seconds: header.seconds });
    this.words = header.words;
    this.starts = header.words.map(([start]) => start);
    this.draw();
  }

  draw() {
    if (!this.header) return;
    this.length = Math.max(SHORTEST_PAGE, Math.min(LONGEST_PAGE, this.page.clientWidth / PIXELS_PER_SECOND, this.seconds));
    this.ink = getComputedStyle(this.overview).color;
    this.shownPage = null;
    this.drawOverview();
    this.show(this.now ?? 0);
  }

  drawOverview() {
    const { context, width, height } = fitCanvas(this.overview);
    const tall = height - 16;
    context.fillStyle = this.ink;
    context.globalAlpha = 0.55;
    for (let x = 0; x < width && this.loudness.length; x++) {
      const [from, to] = [x, x + 1].map((one) => Math.floor((one / width) * this.seconds * this.header.steps));
      const loud = Math.max(0, ...this.loudness.subarray(from, Math.max(from + 1, to))) / 255;
      context.fillRect(x, (tall * (1 - loud)) / 2, 1, Math.max(1, tall * loud));
    }
    this.writeTicks(context, width, height, 0, this.seconds);
  }

  writeTicks(context, width, height, start, seconds) {
    const step = tickStep(seconds, width);
    Object.assign(context, { globalAlpha: 0.85, font: `11px ${getComputedStyle(this.overview).fontFamily}` });
    context.textBaseline = "bottom";
    for (let at = Math.ceil(start / step) * step; at < start + seconds; at += step) {
      const x = ((at - start) / seconds) * width;
      context.fillRect(x, height - 14, 1, 4);
      if (x < width - 34) context.fillText(clockText(at), x + 3, height);
    }
  }

  // Turn to the page that holds a time.
  turnPage(number) {
    this.shownPage = number;
    this.start = number * this.length;
    const { context, width, height } = fitCanvas(this.page);
    this.drawBands(context, width, height - 16);
    context.fillStyle = this.ink;
    this.writeTicks(context, width, height, this.start, this.length);
    this.placeWords(width);
  }

  // The spectrogram: the more ink, the louder.
  drawBands(context, width, height) {
    const { frames, nBands } = this.header;
    if (!nBands) return;
    const first = Math.floor(this.start * frames), count = Math.ceil(this.length * frames);
    const picture = new ImageData(count, nBands);
    const [red, green, blue] = this.ink.match(/[\d.]+/g).map(Number);
    for (let frame = 0; frame < count; frame++) {
      for (let band = 0; band < nBands; band++) {
        const at = 4 * ((nBands - 1 - band) * count + frame);
        picture.data.set([red, green, blue, 0.85 * (this.bands[(first + frame) * nBands + band] ?? 0)], at);
      }
    }
    const made = document.createElement("canvas");
    Object.assign(made, { width: count, height: nBands });
    made.getContext("2d").putImageData(picture, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(made, ((first / frames - this.start) / this.length) * width, 0, (count / frames / this.length) * width, height);
  }

  placeWords(width) {
    const ends = new Array(LANES).fill(-Infinity), made = [];
    const measure = document.createElement("canvas").getContext("2d");
    measure.font = `600 18px ${getComputedStyle(this.wordLayer).fontFamily}`;
    this.pageWords = new Map();
    const first = Math.max(0, placeAt(this.starts, this.start) - 1);
    for (let place = first; place < this.words.length; place++) {
      const [start, end, word] = this.words[place];
      if (start >= this.start + this.length) break;
      if (end <= this.start) continue;
      const x = Math.max(0, ((start - this.start) / this.length) * width);
      // Room for the word as it is written while it is spoken.
      const free = ends.findIndex((taken) => taken <= x), lane = free < 0 ? ends.indexOf(Math.min(...ends)) : free;
      ends[lane] = x + measure.measureText(word).width + GAP;
      const span = element("span", "", word);
      Object.assign(span.style, { left: `${x}px`, top: `${lane * LANE}px` });
      this.pageWords.set(place, span);
      made.push(span);
    }
    this.wordLayer.replaceChildren(...made);
    this.spoken = null;
  }

  show(seconds) {
    this.now = seconds;
    if (!this.header) return;
    const number = Math.floor(Math.min(seconds, this.seconds - 1e-6) / this.length);
    if (number !== this.shownPage) this.turnPage(number);
    const move = (line, canvas, share) => { line.style.transform = `translateX(${share * canvas.clientWidth}px)`; };
    move(this.overviewLine, this.overview, seconds / this.seconds);
    move(this.pageLine, this.page, (seconds - this.start) / this.length);
    const place = placeAt(this.starts, seconds);
    const isSpoken = place >= 0 && seconds < this.words[place][1];
    const spoken = isSpoken ? this.pageWords.get(place) : null;
    if (spoken === this.spoken) return;
    this.spoken?.classList.remove("now");
    spoken?.classList.add("now");
    this.spoken = spoken;
  }
}
