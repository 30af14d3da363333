// What a report carries in elements that are not run: deflated, as base64.

import { receiveBlob } from "../../viewer/blobs.js";

export function packed(id) {
  const text = document.getElementById(`packed-${id}`).textContent;
  const binary = atob(text.trim()), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// Hand a blob to the viewer under its name, as the carrier of the dashboard does.
export function give(id) {
  const bytes = packed(id), message = new Uint8Array(id.length + bytes.length);
  message.set(new TextEncoder().encode(id));
  message.set(bytes, id.length);
  receiveBlob(message);
}

export async function unpackText(id) {
  const stream = new Blob([packed(id)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}
