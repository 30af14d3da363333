"""Run pages as the address bar would, and read what they show."""

import functools
import json
from pathlib import Path
from typing import Any

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

from braindash.ui import surfaces, widgets
from braindash.ui.take_away import Take

ROOT = Path(__file__).resolve().parents[3]
APP = ROOT / "app.py"
# The page without a name of its own in the address.
START = "explore/overview"

# Every AppTest looks through all installed packages for components, which takes longer than a page
# of ours; no package is installed between two tests.
manifest_scanner.scan_component_manifests = functools.cache(
    manifest_scanner.scan_component_manifests
)

surfaces.LONGEST_WAIT_SECONDS = 0.0  # there is no browser that would tell
_script_stopped = LocalScriptRunner.script_stopped


def _wait_for_the_end(runner: LocalScriptRunner) -> bool:
    """AppTest asks a thousand times a second, and takes the interpreter from the page for it."""
    if runner._script_thread is not None:
        runner._script_thread.join(0.1)
    return _script_stopped(runner)


LocalScriptRunner.script_stopped = _wait_for_the_end


def run(page: str, *, user: dict | None = None, **query: str | list[str]) -> AppTest:
    """Run one page of the app, and no other before it, as the address bar would; for a user."""
    app = AppTest.from_file(str(APP), default_timeout=120)
    if user is not None:
        app.user = user
    if page != START:
        app.switch_page(f"pages/{page}.py")
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    shown = app._registered_pages[app._finished_page_script_hash]["script_path"]
    assert shown == str(ROOT / "pages" / f"{page}.py"), "another page was run"
    return app


def takes(monkeypatch) -> dict[str, Take]:
    """Give a dictionary that gets what every "Take away" of the pages offers, by its name."""
    found: dict[str, Take] = {}
    monkeypatch.setattr(
        widgets, "control", lambda taken, line, details: found.setdefault(taken.name, taken)
    )
    return found


def texts(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.header, *app.info, *app.warning, *app.error]
    return "\n".join(str(part.value) for part in parts)


def player_settings(app: AppTest) -> dict[str, Any]:
    """What the player of the page is told."""
    carried = [one.proto.json for one in app.get("bidi_component") if one.proto.json]
    (told,) = (found for found in map(json.loads, carried) if "settings" in found)
    return told["settings"]
