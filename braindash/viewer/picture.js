// A picture of what is seen, with its words, scales and source, as a file.

const PICTURE_MARGIN = 12, PICTURE_LINE = 20, SCALES_HEIGHT = 34; // pixels

function write(context, text, x, y, { color, font }) {
  context.fillStyle = color;
  context.font = font;
  context.fillText(text, x, y);
}

// Words that stand over the canvas, as they are seen.
function writeOverlay(context, root, box) {
  context.textBaseline = "middle";
  for (const word of root.querySelectorAll(".names span, .labels span, .title .name, .title .at")) {
    const place = word.getBoundingClientRect(), style = getComputedStyle(word);
    if (!place.width) continue;
    write(context, word.textContent, place.left - box.left + 3, place.top - box.top + place.height / 2,
      { color: style.color, font: `${style.fontWeight} ${style.fontSize} ${style.fontFamily}` });
  }
}

function drawScales(context, scales, top, ink) {
  let x = PICTURE_MARGIN;
  const say = (text, gap, colour = ink.color) => {
    write(context, text, x, top + SCALES_HEIGHT / 2, { ...ink, color: colour });
    x += context.measureText(text).width + gap;
  };
  const show = (bar, height) => {
    const width = (bar.width * height) / bar.height;
    context.drawImage(bar, x, top + (SCALES_HEIGHT - height) / 2, width, height);
    x += width + 10;
  };
  for (const { label, low, high, bar, inks } of scales) {
    if (inks) {
      show(bar, SCALES_HEIGHT - 4);
      for (const { name, colour } of inks) {
        say("■", 4, colour);
        say(name, 14);
      }
      continue;
    }
    for (const text of [label, String(low)]) say(text, 10);
    if (bar) show(bar, 12);
    else say("to", 10);
    say(String(high), 28);
  }
}

// Words in lines that fit a width.
export function wrap(text, width, measure) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && measure(longer) > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

// `lines`: what stands below the picture; the surfaces keep the canvas's own density.
export function drawPicture({ root, canvas, scales, lines }) {
  const density = canvas.width / canvas.clientWidth;
  const style = getComputedStyle(root), made = document.createElement("canvas");
  const context = made.getContext("2d");
  const ink = { color: style.color, font: `13px ${style.fontFamily}` };
  context.font = ink.font;
  const below = lines.flatMap((line) => (
    wrap(line, canvas.clientWidth - 2 * PICTURE_MARGIN, (text) => context.measureText(text).width)));
  const height = canvas.clientHeight + SCALES_HEIGHT + below.length * PICTURE_LINE + PICTURE_MARGIN;
  Object.assign(made, { width: canvas.width, height: Math.round(height * density) });
  context.scale(density, density);
  context.fillStyle = style.getPropertyValue("--st-background-color") || "#fff";
  context.fillRect(0, 0, canvas.clientWidth, height);
  context.drawImage(canvas, 0, 0, canvas.clientWidth, canvas.clientHeight);
  writeOverlay(context, root, canvas.getBoundingClientRect());
  drawScales(context, scales, canvas.clientHeight, ink);
  below.forEach((line, index) => (
    write(context, line, PICTURE_MARGIN, canvas.clientHeight + SCALES_HEIGHT + (index + 0.5) * PICTURE_LINE, ink)));
  return made;
}

export function saveFile(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
