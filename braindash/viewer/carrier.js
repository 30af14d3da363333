// A component that shows nothing: it hands what it is given to the viewers of the page, bytes as
// they are or settings as {viewer, settings}.

import { forgetSettings, receiveBlob, receiveSettings } from "./blobs.js";

export default function carry({ data }) {
  if (!data.viewer) return receiveBlob(data);
  const { viewer, settings } = data;
  receiveSettings(viewer, settings);
  return () => forgetSettings(viewer, settings);
}
