// Binary blobs: a carrier component puts them here by id, viewers of the same page take them.

const BLOBS = (globalThis.braindashBlobs ||= { bytes: new Map(), waiting: new Map() });
// A map's byte: 0 to LARGEST_STEP between its lowest and highest value, or MISSING.
export const MISSING = 255;
export const LARGEST_STEP = 254;

const ID_LENGTH = 16;
const KEPT_BLOBS = 24;
const ARRAY_TYPES = {
  uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array,
};

// Take a message "id, bytes" from the server; the oldest blobs are dropped beyond a limit.
export function receiveBlob(message) {
  const bytes = message instanceof ArrayBuffer ? new Uint8Array(message) : message;
  const id = new TextDecoder().decode(bytes.subarray(0, ID_LENGTH));
  if (BLOBS.bytes.has(id)) return;
  const copy = bytes.slice(ID_LENGTH); // starts at an aligned address
  BLOBS.bytes.set(id, copy);
  for (const resolve of BLOBS.waiting.get(id) || []) resolve(copy);
  BLOBS.waiting.delete(id);
  while (BLOBS.bytes.size > KEPT_BLOBS) BLOBS.bytes.delete(BLOBS.bytes.keys().next().value);
}

export function waitForBlob(id) {
  if (BLOBS.bytes.has(id)) return Promise.resolve(BLOBS.bytes.get(id));
  return new Promise((resolve) => {
    BLOBS.waiting.set(id, [...(BLOBS.waiting.get(id) || []), resolve]);
  });
}

// Read "uint32 header length, JSON header, arrays" into {header, arrays}.
export function unpackBlob(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const base = bytes.byteOffset + 4 + length;
  const arrays = {};
  for (const item of header.arrays) {
    const Type = ARRAY_TYPES[item.dtype];
    const count = item.bytes / Type.BYTES_PER_ELEMENT;
    arrays[item.name] = new Type(bytes.buffer, base + item.offset, count);
  }
  return { header, arrays };
}
