// The script of a report: what was packed into the page is unpacked when it is asked for, the
// surfaces follow the curves and the curves the surfaces. Nothing is ever requested.

import { LARGEST_STEP, MISSING, receiveSettings, waitForArrays } from "../../viewer/blobs.js";
import { element, spoken } from "../../viewer/dom.js";
import mount from "../../viewer/component.js";
import { give, unpackText } from "./packed.js";
import { openStory } from "./story.js";

const VIEWER = "report";
const SVG = "http://www.w3.org/2000/svg";
const PICKED_COLOURS = ["#0072B2", "#D55E00"];
const SMALL = { width: 420, height: 170, left: 52, right: 96, top: 14, bottom: 30 };

function saveText(text, name, type) {
  const link = element("a", "");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// ---- details that are packed until they are opened ---------------------------------------------

function listenToDetails() {
  for (const place of document.querySelectorAll("[data-packed]")) {
    const { packed: id, file } = place.dataset;
    const [show, save] = [element("button", "", "Show"), element("button", "", `Save ${file}`)];
    const shown = element("pre", "");
    shown.hidden = true;
    shown.tabIndex = 0;
    shown.setAttribute("aria-label", file);
    show.addEventListener("click", async () => {
      shown.textContent ||= await unpackText(id);
      shown.hidden = !shown.hidden;
      show.textContent = shown.hidden ? "Show" : "Hide";
    });
    save.addEventListener("click", async () => saveText(await unpackText(id), file, place.dataset.kind));
    place.append(show, save, shown);
  }
}

// ---- surfaces ----------------------------------------------------------------------------------

class Surfaces {
  constructor(host, told) {
    Object.assign(this, { host, told, shown: [0, told.panels.length > 1 ? 1 : null], pick: null });
    const shadow = host.attachShadow({ mode: "open" });
    shadow.append(document.getElementById("viewer-markup").content.cloneNode(true));
    this.root = shadow.querySelector(".braindash-viewer");
    this.part = (name) => this.root.querySelector(`[data-part="${name}"]`);
    this.menus = [...document.querySelectorAll("[data-panel]")];
    this.menus.forEach((menu, place) => this.fill(menu, place));
    mount({
      data: { viewer: VIEWER },
      parentElement: shadow,
      setTriggerValue: (kind, value) => { if (kind === "pick") this.picked(value); },
      setStateValue: () => this.refuse(),
    });
    if (host.hidden) return;
    this.part("use").style.display = "none"; // there is no page whose tables would follow
    new MutationObserver(() => this.layerChanged())
      .observe(this.part("layer-name"), { childList: true, characterData: true, subtree: true });
    this.show();
  }

  fill(menu, place) {
    const options = this.told.panels.map(({ name }, index) => new Option(name, index));
    if (place) options.unshift(new Option("none", ""));
    menu.replaceChildren(...options);
    menu.value = this.shown[place] ?? "";
    menu.addEventListener("change", () => {
      this.shown[place] = menu.value === "" ? null : Number(menu.value);
      this.show();
    });
  }

  // Panels of one mesh can be shown beside each other; another mesh is shown alone.
  show() {
    const { panels, settings, pair } = this.told;
    const first = panels[this.shown[0]], second = panels[this.shown[1]] ?? null;
    const together = second && second !== first && second.geometry === first.geometry;
    const chosen = together ? [first, second] : [first];
    const isPair = together && pair && this.shown[0] === 0 && this.shown[1] === 1;
    for (const id of [first.geometry, settings.colours, ...chosen.map(({ maps }) => maps)]) give(id);
    if (isPair) give(pair.statistics);
    const letters = chosen.length > 1 ? ["A: ", "B: "] : [""];
    this.chosen = chosen;
    receiveSettings(VIEWER, {
      ...settings,
      geometry: first.geometry,
      difference: isPair ? pair : null,
      panels: chosen.map(({ maps, name }, place) => ({ maps, name: letters[place] + name })),
      source: chosen.map(({ source }) => source).join(" · "),
    });
    if (this.pick) this.picked(this.pick);
  }

  refuse() {
    this.host.hidden = true;
    document.getElementById("no-surfaces").hidden = false;
  }

  get layer() {
    return Number(this.part("layer").value);
  }

  get last() {
    return Number(this.part("layer").max);
  }

  setLayer(layer) {
    const slider = this.part("layer");
    slider.value = layer;
    slider.dispatchEvent(new Event("input"));
  }

  layerChanged() {
    for (const chart of document.querySelectorAll("svg.chart")) markLayer(chart, this.layer, this.last);
  }

  // The layer curve of a vertex, from the bytes of the maps: to 1/254 of their range.
  async picked(pick) {
    this.pick = pick;
    const unpacked = await Promise.all(this.chosen.map(({ maps }) => waitForArrays(maps)));
    const curves = unpacked.map(({ header, arrays }, place) => {
      const count = arrays.maps.length / header.names.length;
      const values = header.names.map((_, layer) => {
        const byte = arrays.maps[layer * count + pick.index];
        return byte === MISSING ? null : header.low + (byte / LARGEST_STEP) * (header.high - header.low);
      });
      return { name: "AB"[place], values, label: header.label };
    });
    const place = document.getElementById("picked");
    place.replaceChildren(
      element("h3", "", `Clicked vertex: ${pick.hemisphere} ${pick.vertex}`), drawPicked(curves),
      element("p", "note", "Read from the map's bytes, to 1/254 of its range."),
    );
    this.layerChanged();
  }
}

// A line in a chart at the layer that the surfaces show, aligned by relative depth.
function markLayer(chart, layer, last) {
  const { from, to, last: own } = chart.dataset;
  if (!Number(own) || !last) return;
  let line = chart.querySelector("line.shown");
  if (!line) {
    line = document.createElementNS(SVG, "line");
    line.setAttribute("class", "shown");
    chart.append(line);
  }
  const x = Number(from) + (layer / last) * (Number(to) - Number(from));
  const bottom = chart.viewBox.baseVal.height - 36;
  for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 20, y2: bottom })) line.setAttribute(name, value);
}

function drawn(parent, kind, attributes, text = "") {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

function drawPicked(curves) {
  const { width, height, left, right, top, bottom } = SMALL;
  const known = curves.flatMap(({ values }) => values.filter((value) => value !== null));
  const [low, high] = [Math.min(0, ...known), Math.max(0.05, ...known)];
  const last = Math.max(...curves.map(({ values }) => values.length - 1));
  const chart = document.createElementNS(SVG, "svg");
  const told = { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": "Layer curve of the clicked vertex",
    "data-last": last, "data-from": left, "data-to": width - right };
  for (const [name, value] of Object.entries(told)) chart.setAttribute(name, value);
  const y = (value) => top + ((high - value) / (high - low)) * (height - top - bottom);
  for (const value of [low, 0, high]) {
    drawn(chart, "line", { class: value ? "grid" : "axis", x1: left, x2: width - right, y1: y(value), y2: y(value) });
    drawn(chart, "text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, spoken(value, 2));
  }
  curves.forEach(({ name, values }, place) => {
    const end = values.length - 1;
    const x = (layer) => left + (end ? layer / end : 0.5) * (width - left - right);
    const points = values.flatMap((value, layer) => (value === null ? [] : [[x(layer), y(value), layer, value]]));
    if (!points.length) return;
    const colour = PICKED_COLOURS[place];
    const line = drawn(chart, "polyline", { points: points.map(([a, b]) => `${a},${b}`).join(" "), fill: "none", stroke: colour, "stroke-width": 2 });
    if (place) line.setAttribute("stroke-dasharray", "6 4");
    for (const [cx, cy, layer, value] of points) {
      const point = drawn(chart, "circle", { cx, cy, r: 3.4, fill: colour, "data-layer": layer });
      drawn(point, "title", {}, `layer ${layer}: ${spoken(value, 3)}`);
    }
    if (curves.length > 1) drawn(chart, "text", { class: "end", x: width - right + 8, y: points.at(-1)[1] + 4, fill: colour }, name);
  });
  return chart;
}

// ---- start -------------------------------------------------------------------------------------

function start() {
  listenToDetails();
  const told = JSON.parse(document.getElementById("report-data").textContent);
  const host = document.getElementById("surfaces");
  const surfaces = host && told.panels.length ? new Surfaces(host, told) : null;
  document.addEventListener("click", (event) => {
    const { layer } = event.target.dataset ?? {};
    const own = event.target.closest?.("svg.chart")?.dataset.last;
    if (surfaces && layer !== undefined && Number(own)) {
      surfaces.setLayer(Math.round((Number(layer) / Number(own)) * surfaces.last));
    }
  });
  // The space bar scrolls a text, unless the surfaces have been clicked.
  globalThis.addEventListener("keydown", (event) => {
    if (event.key === " " && document.activeElement === document.body) event.stopImmediatePropagation();
  }, true);
  // The story is unpacked when the rest can be looked at.
  const done = () => {
    document.documentElement.dataset.readyMs = Math.round(performance.now());
    const place = document.getElementById("story");
    if (place && told.story) setTimeout(() => openStory(place, told.story));
  };
  if (!surfaces || host.hidden) return done();
  const drawnYet = () => {
    if (!surfaces.root.dataset.ready) return requestAnimationFrame(drawnYet);
    surfaces.layerChanged();
    done();
  };
  drawnYet();
}

start();
