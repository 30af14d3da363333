// A component that shows nothing: it hands what it is given to the viewers of the page, bytes as
// they are or settings as {viewer, settings}; or it tells the server when a viewer has drawn.

import { forgetSettings, receiveBlob, receiveSettings, whenDrawn } from "./blobs.js";

export default function carry({ data, setTriggerValue }) {
  if (data.awaits) return whenDrawn(data.awaits, data.seconds, () => setTriggerValue("drawn", true));
  if (!data.viewer) return receiveBlob(data);
  const { viewer, settings } = data;
  receiveSettings(viewer, settings);
  return () => forgetSettings(viewer, settings);
}
