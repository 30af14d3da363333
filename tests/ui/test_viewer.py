"""The viewer's joined JavaScript."""

import re
import shutil
import subprocess

import pytest

from braindash.ui import viewer


def test_every_module_is_joined_once_and_only_the_entry_is_exported():
    script = viewer.script()
    assert not re.search(r"^import ", script, re.MULTILINE)
    assert re.findall(r"^export .*", script, re.MULTILINE) == [
        "export default function mount(component) {"
    ]
    files = {path.stem for path in viewer.FOLDER.glob("*.js")}
    assert files == set(viewer.MODULES)


def test_modules_import_only_earlier_ones():
    for position, name in enumerate(viewer.MODULES):
        text = (viewer.FOLDER / f"{name}.js").read_text()
        for imported in re.findall(r'^import .*? from "\./(\w+)\.js";', text, re.MULTILINE):
            assert viewer.MODULES.index(imported) < position, f"{name} imports {imported}"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_joined_script_parses(tmp_path):
    path = tmp_path / "viewer.mjs"
    path.write_text(viewer.script())
    done = subprocess.run(["node", "--check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_outlines_and_picking_agree_with_a_hand_made_square(tmp_path):
    """Two triangles of a square: one corner in the region, a click near another corner."""
    code = """
    const faces = new Uint16Array([0, 1, 2, 0, 2, 3]);
    const bits = new Uint16Array([0, 0, 0, 1]);
    const pairs = outlinePairs(faces, bits, 0, 0);
    const points = new Float32Array([0, 0, 0, 0, 2, 0, 0, 2, 2, 0, 0, 2]);
    const middle = Array.from(midpoints(points, pairs));
    const shape = { first: "s", second: "s", t: 0 };
    const hemisphere = { shapes: { s: { points } }, count: 4, faces };
    const turn = [0, 1, 0, 0, 0, 1, 1, 0, 0];
    const hit = pickVertex(hemisphere, shape, turn, [1.8, 0.1]);
    const miss = pickVertex(hemisphere, shape, turn, [5, 5]);
    console.log(JSON.stringify({ pairs, middle, hit, miss }));
    """
    import json

    script = viewer.script().replace("export default function", "function")
    path = tmp_path / "check.mjs"
    path.write_text(script + code)
    done = subprocess.run(["node", str(path)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["pairs"] == [3, 0, 3, 2]
    assert found["middle"] == [0, 0, 1, 0, 1, 2]
    assert found["hit"] == 1 and found["miss"] == -1
