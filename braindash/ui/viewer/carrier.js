// A component that shows nothing: it hands the bytes it is given to the viewers of the page.

import { receiveBlob } from "./blobs.js";

export default function carry({ data }) {
  receiveBlob(data);
}
