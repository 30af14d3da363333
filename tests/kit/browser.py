"""What journeys in a real browser share."""

import socket


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
