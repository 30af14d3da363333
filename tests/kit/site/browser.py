"""What journeys in a real browser share."""

import os
import socket
from itertools import pairwise


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def open_cortex(page, server, query: str = ""):
    page.goto(f"{server.url}/cortex{query}")
    page.wait_for_selector(".braindash-viewer[data-ready]")


def pixels(page) -> str:
    return page.locator('canvas[data-part="canvas"]').evaluate("c => c.toDataURL()")


def settle(page) -> None:
    """Wait until the frame that was asked for is drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def shot(page, name: str) -> None:
    """Keep a picture in the folder of BRAINDASH_SHOTS, where somebody wants to look at it."""
    if folder := os.environ.get("BRAINDASH_SHOTS"):
        settle(page)
        page.screenshot(path=f"{folder}/{name}.png")


# Words whose contrast with what is behind them is under 4.5, in the shadow of components too.
CONTRASTS = """() => {
  const read = (text) => {
    const found = (text.match(/[\\d.]+/g) || []).map(Number);
    return text.startsWith("color(") ? found.map((v, i) => (i < 3 ? 255 * v : v)) : found;
  };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const channel = (v) => linear(v / 255);
  const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const over = (top, ground) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => alpha * top[i] + (1 - alpha) * ground[i]);
  };
  const poor = [];
  const roots = (root) => [root, ...[...root.querySelectorAll("*")]
    .flatMap((one) => (one.shadowRoot ? roots(one.shadowRoot) : []))];
  for (const root of roots(document.body)) {
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const at = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    const out = "svg, style, script, [disabled], [aria-disabled=true], "
      + "[data-testid=stIconMaterial]";
    if (!text || at.closest(out) || !at.checkVisibility({ opacityProperty: true })) continue;
    const chain = [];
    for (let e = at; e; e = e.parentElement ?? e.getRootNode().host) chain.unshift(e);
    let ground = [255, 255, 255], opacity = 1;
    for (const e of chain) {
      const style = getComputedStyle(e);
      ground = over(read(style.backgroundColor), ground);
      opacity *= Number(style.opacity);
    }
    const ink = read(getComputedStyle(at).color);
    const shown = over([...ink.slice(0, 3), (ink[3] ?? 1) * opacity], ground);
    const [a, b] = [light(shown), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${text.slice(0, 50)}`);
  }
  }
  return poor;
}"""
HEADINGS = "() => [...document.querySelectorAll('h1,h2,h3,h4')].map((e) => Number(e.tagName[1]))"


def check_words(page) -> None:
    """Words have contrast, and headings their order."""
    poor = page.evaluate(CONTRASTS)
    assert not poor, poor
    levels = page.evaluate(HEADINGS)
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(two - one <= 1 for one, two in pairwise(levels))
