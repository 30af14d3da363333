// Binary blobs and settings: carrier components put them here by name, viewers of the same page
// take them.

const CARRIED = (globalThis.braindashCarried ||= {
  bytes: new Map(), waiting: new Map(), unpacked: new WeakMap(), settings: new Map(), takers: new Map(),
  drawn: new Set(), awaiting: new Set(), telling: [],
});
// A map's byte: 0 to LARGEST_STEP between its lowest and highest value, or MISSING.
export const MISSING = 255;
export const LARGEST_STEP = 254;

const ID_LENGTH = 16;
const KEPT_BLOBS = 24;
const APART_MS = 50;
const ARRAY_TYPES = {
  uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array,
};

// Take a message "id, bytes" from the server; the oldest blobs are dropped beyond a limit.
export function receiveBlob(message) {
  const bytes = message instanceof ArrayBuffer ? new Uint8Array(message) : message;
  const id = new TextDecoder().decode(bytes.subarray(0, ID_LENGTH));
  if (CARRIED.bytes.has(id)) return;
  const copy = bytes.slice(ID_LENGTH);
  CARRIED.bytes.set(id, copy);
  for (const resolve of CARRIED.waiting.get(id) || []) resolve(copy);
  CARRIED.waiting.delete(id);
  while (CARRIED.bytes.size > KEPT_BLOBS) CARRIED.bytes.delete(CARRIED.bytes.keys().next().value);
}

export function waitForBlob(id) {
  if (CARRIED.bytes.has(id)) return Promise.resolve(CARRIED.bytes.get(id));
  return new Promise((resolve) => {
    CARRIED.waiting.set(id, [...(CARRIED.waiting.get(id) || []), resolve]);
  });
}

// Wait for a packed blob: {header, arrays}, unpacked once however many viewers ask.
export async function waitForArrays(id) {
  const bytes = await waitForBlob(id);
  if (!CARRIED.unpacked.has(bytes)) CARRIED.unpacked.set(bytes, unpackBlob(bytes));
  return CARRIED.unpacked.get(bytes);
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Read a deflated "uint32 header length, JSON header, arrays" into {header, arrays}.
export async function unpackBlob(deflated) {
  const bytes = await inflate(deflated);
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const arrays = {};
  for (const item of header.arrays) {
    const start = 4 + length + item.offset;
    arrays[item.name] = readArray(item, bytes.slice(start, start + item.bytes));
  }
  return { header, arrays };
}

// Whole numbers travel as differences from the row before, low bytes first, then high bytes.
function readArray({ dtype, shape }, content) {
  const Type = ARRAY_TYPES[dtype];
  if (Type === Float32Array) return new Type(content.buffer);
  const width = Type.BYTES_PER_ELEMENT, count = content.length / width;
  const whole = new Uint8Array(content.length);
  for (let byte = 0; byte < width; byte++) {
    for (let i = 0; i < count; i++) whole[i * width + byte] = content[byte * count + i];
  }
  const values = new Type(whole.buffer);
  const row = count / (shape[0] || 1);
  for (let i = row; i < count; i++) values[i] += values[i - row];
  return values;
}

// ---- settings: what a viewer shows; small, so that a change does not bring its script again -----

export function receiveSettings(viewer, settings) {
  CARRIED.settings.set(viewer, settings);
  CARRIED.takers.get(viewer)?.(settings);
}

// Settings of a page that was left must not greet its next visitor.
export function forgetSettings(viewer, settings) {
  if (CARRIED.settings.get(viewer) === settings) CARRIED.settings.delete(viewer);
}

// Call `take` with a viewer's settings, those that are there and every later one; gives what ends it.
export function takeSettings(viewer, take) {
  CARRIED.takers.set(viewer, take);
  if (CARRIED.settings.has(viewer)) take(CARRIED.settings.get(viewer));
  return () => { if (CARRIED.takers.get(viewer) === take) CARRIED.takers.delete(viewer); };
}

// ---- the first brains: until they are drawn, a browser that was never here loads nothing else ----

// Tells the server that this browser has its scripts by now: figures need not wait any more.
export function rememberVisit() {
  document.cookie = "braindash_figures=1; path=/; SameSite=Strict";
}

// A viewer has drawn, or never will: whoever waits for it is told once that is on the screen.
export function tellDrawn(viewer) {
  CARRIED.drawn.add(viewer);
  requestAnimationFrame(() => setTimeout(() => {
    for (const one of [...CARRIED.awaiting]) if (one.viewer === viewer) one.end();
  }));
}

// Call `tell` once a viewer has drawn, or so many seconds later: it may be broken; gives what ends it.
export function whenDrawn(viewer, seconds, tell) {
  let left = false;
  const stop = () => { clearTimeout(limit); CARRIED.awaiting.delete(one); };
  const one = {
    viewer,
    end: () => { stop(); rememberVisit(); inTurn(() => { if (!left) tell(); }); },
  };
  const limit = setTimeout(one.end, CARRIED.drawn.has(viewer) ? 0 : 1000 * seconds);
  CARRIED.awaiting.add(one);
  return () => { left = true; stop(); };
}

// Of what several parts of a page tell at once, Streamlit draws one part again and forgets the
// others. So each waits until what was told before it has left.
function inTurn(tell) {
  CARRIED.telling.push(tell);
  if (CARRIED.telling.length === 1) tellNext();
}

function tellNext() {
  setTimeout(() => {
    CARRIED.telling.shift();
    if (CARRIED.telling.length) tellNext();
  }, APART_MS);
  CARRIED.telling[0]();
}
