// Where everything is drawn: panels (one per model, and their difference), each with the same views.

import { VIEWS, WIDTH_TO_HEIGHT } from "./camera.js";

const TITLE = 34; // pixels above each of several panels
const STRIP = [0, 2, 3, 1]; // the order of four views in one row: mirrored about the middle
// What a visitor can choose: places in VIEWS. One brain fills its panel.
export const VIEW_SETS = { four: [0, 1, 2, 3], lateral: [0, 1], medial: [2, 3], left: [0], right: [1] };

export function isFlat(shape) {
  return shape.second === "flat" && shape.t > 0.5;
}

function acrossOf(count, nViews) {
  if (nViews < 4) return nViews > 1 ? [1, nViews] : [1];
  return count > 1 ? [2, nViews] : [2];
}

// The views of a panel: those that were chosen, of the flat surface one per side.
function shownViews(shape, chosen) {
  const views = VIEW_SETS[chosen].map((place) => VIEWS[place]);
  if (!isFlat(shape)) return views;
  return VIEWS.slice(0, 2).filter(({ side }) => views.some((view) => view.side === side));
}

// Panels beside or above each other, with their views in two columns or in one row: whichever
// arrangement shows the largest brains.
function bestGrid(count, nViews, width, height, title) {
  let best = null;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    for (const across of acrossOf(count, nViews)) {
      const down = nViews / across;
      const [viewWidth, viewHeight] = [width / columns / across, (height / rows - title) / down];
      const size = Math.min(viewWidth / WIDTH_TO_HEIGHT, viewHeight);
      if (!best || size > best.size) best = { size, columns, rows, across, viewWidth, viewHeight };
    }
  }
  return best;
}

// Give every panel's box and every view's place, in pixels from the top left. A flat surface has
// one view per side; a single panel has no title.
export function arrange(count, shape, width, height, chosen = "four") {
  const views = shownViews(shape, chosen);
  const title = count > 1 ? TITLE : 0;
  const grid = bestGrid(count, views.length, width, height, title);
  const order = grid.across === 4 ? STRIP : views.map((_, index) => index);
  const panels = [], places = [];
  for (let panel = 0; panel < count; panel++) {
    const x = (panel % grid.columns) * (width / grid.columns);
    const y = Math.floor(panel / grid.columns) * (height / grid.rows);
    panels.push({ x, y, width: width / grid.columns, height: height / grid.rows });
    order.forEach((view, index) => places.push({
      panel,
      view: views[view],
      x: x + (index % grid.across) * grid.viewWidth,
      y: y + title + Math.floor(index / grid.across) * grid.viewHeight,
      width: grid.viewWidth,
      height: grid.viewHeight,
    }));
  }
  return { panels, places };
}
