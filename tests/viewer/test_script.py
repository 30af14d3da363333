"""The viewer's JavaScript, without a browser: how its modules join, and its numbers under node."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from braindash.io.surfaces import load_surface
from braindash.viewer import (
    CARRIER_MODULES,
    FOLDER,
    MODULES,
    PLAYER_MODULES,
    markup,
    player_markup,
    script,
)
from braindash.viewer.blobs import MapSet, geometry_blob, map_blob
from braindash.viewer.packing import pack, unpack
from braindash.views.linked import layer_at
from braindash.views.listening.courses import Course, course_blob

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="node is not installed: apt-get install nodejs"
)
JOINED = [MODULES, PLAYER_MODULES, CARRIER_MODULES]
# What needs a page: entry points, and what is made of elements.
OF_PAGES = ("component", "viewer", "surface", "player", "playercomponent")
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)


def module_text(name):
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")


def run_node(tmp_path, code, *blobs):
    """Run a module beside the viewer's own files; it gets blobs by path and prints JSON."""
    paths = []
    for position, blob in enumerate(blobs):
        paths.append(tmp_path / f"{position}.bin")
        paths[-1].write_bytes(blob)
    # A package of type "module": node then reads .js files as the modules they are.
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    others = [name for name in dict.fromkeys((*MODULES, *PLAYER_MODULES)) if name not in OF_PAGES]
    for name in others:
        shutil.copy(FOLDER / f"{name}.js", tmp_path)
    imports = "".join(f'import * as {name} from "./{name}.js";\n' for name in others)
    head = 'import { readFileSync } from "node:fs";\n' + imports
    head += f"const files = {json.dumps([str(path) for path in paths])};\n"
    head += (
        "const blob = (i) => blobs.unpackBlob(new Uint8Array(readFileSync(files[i])).slice());\n"
    )
    test = tmp_path / "test.js"
    test.write_text(head + code, encoding="utf-8")
    done = subprocess.run(
        [NODE, str(test)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_module_is_joined_once():
    files = {path.stem for path in FOLDER.glob("*.js")}
    assert files == {*MODULES, *PLAYER_MODULES, *CARRIER_MODULES}
    for modules in JOINED:
        assert len(modules) == len(set(modules))


@pytest.mark.parametrize("modules", JOINED)
def test_every_import_is_met_by_an_earlier_module(modules):
    for position, name in enumerate(modules):
        text = module_text(name)
        found = IMPORT.findall(text)
        assert len(found) == len(re.findall(r"^import ", text, re.MULTILINE)), name
        for names, source in found:
            assert source in modules[:position], f"{name} needs {source} before it"
            for wanted in (part.strip() for part in names.split(",")):
                exported = rf"^export (?:class|function|const|async function) {wanted}\b"
                assert re.search(exported, module_text(source), re.MULTILINE), (name, wanted)


@pytest.mark.parametrize("modules", JOINED)
def test_the_joined_script_has_one_entry_and_asks_nobody(modules):
    text = script(modules)
    assert not re.search(r"^import ", text, re.MULTILINE)
    exports = re.findall(r"^export .*", text, re.MULTILINE)
    assert len(exports) == 1 and exports[0].startswith("export default function ")
    for forbidden in ("http://", "https://", "innerHTML", "eval(", "fetch("):
        assert forbidden not in text


@needs_node
@pytest.mark.parametrize("modules", JOINED)
def test_the_joined_script_parses(tmp_path, modules):
    joined = tmp_path / "joined.mjs"
    joined.write_text(script(modules), encoding="utf-8")
    done = subprocess.run(
        [NODE, "--check", str(joined)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@needs_node
def test_javascript_reads_what_python_packs(tmp_path):
    arrays = {
        "odd": np.array([1, 2, 255], dtype=np.uint8),
        "signed": np.array([[-5, 7]], dtype=np.int16),
        "real": np.array([0.5, -1.25], dtype=np.float32),
    }
    code = """
    const { header, arrays } = await blob(0);
    const lists = Object.fromEntries(Object.entries(arrays).map(([k, v]) => [k, Array.from(v)]));
    console.log(JSON.stringify({ word: header.word, lists }));
    """
    found = run_node(tmp_path, code, pack({"word": "Gyrus ä"}, arrays))
    assert found["word"] == "Gyrus ä"
    assert found["lists"] == {name: array.ravel().tolist() for name, array in arrays.items()}


PICK = """
const hemispheres = geometry.readHemispheres(await blob(0));
const view = new camera.Camera();
const shape = SHAPE;
const found = camera.VIEWS.map((panel) => {
  const matrix = view.matrix(panel);
  const points = POINTS;
  return points.map((at) => picking.pickVertex(hemispheres[panel.side], shape, matrix, at));
});
console.log(JSON.stringify(found));
"""
# Screen right and up in right-anterior-superior axes, by panel: left and right, seen from the side
# and from the middle.
PANEL_AXES = {
    ("left", "lateral"): (-1, -1),
    ("right", "lateral"): (1, 1),
    ("left", "medial"): (1, 1),
    ("right", "medial"): (-1, -1),
}


def centred(kind, side):
    points = load_surface(kind)[side].coordinates.astype(float)
    return points - (points.max(axis=0) + points.min(axis=0)) / 2


@needs_node
@pytest.mark.parametrize("kind", ["inflated", "pial"])
def test_picking_finds_the_nearest_face_like_a_plain_search(tmp_path, kind):
    points = [[0.0, 0.0], [20.0, -15.0], [-30.0, 10.0], [0.0, 300.0]]
    shape = {"first": kind, "second": kind, "t": 0}
    code = PICK.replace("SHAPE", json.dumps(shape)).replace("POINTS", json.dumps(points))
    found = run_node(tmp_path, code, geometry_blob())
    faces = load_surface(kind)["left"].faces
    for panel, vertices in zip(PANEL_AXES, found, strict=True):
        across, towards = PANEL_AXES[panel]
        xyz = centred(kind, panel[0])
        screen = np.stack([across * xyz[:, 1], xyz[:, 2]], axis=1)
        depth = towards * xyz[:, 0]
        for at, vertex in zip(points[:3], vertices[:3], strict=True):
            # Barycentric shares say which faces hold the point; the nearest to the eye wins.
            a, b, c = (screen[faces[:, corner]] for corner in range(3))
            matrix = np.stack([b - a, c - a], axis=-1)
            shares = np.linalg.solve(matrix, (np.array(at) - a)[..., None])[..., 0]
            inside = (shares >= 0).all(axis=1) & (shares.sum(axis=1) <= 1)
            hit = faces[inside][depth[faces[inside]].mean(axis=1).argmax()]
            assert vertex in hit, (panel, at)
        assert vertices[3] == -1, "beside the brain there is nothing to pick"


@needs_node
def test_the_flat_surface_is_picked_by_its_own_faces(tmp_path):
    _, arrays = unpack(geometry_blob())
    header, _ = unpack(geometry_blob())
    flat = {
        side: arrays[f"flat_{side}"] * (header["scale_mm"][f"flat_{side}"] / 32767)
        for side in ("left", "right")
    }
    kept = {side: arrays["faces"][arrays[f"on_flat_{side}"] == 1] for side in flat}
    wanted = {side: int(kept[side][9000, 0]) for side in flat}
    at = {
        "left": [-float(flat["left"][wanted["left"]][1]), float(flat["left"][wanted["left"]][2])],
        "right": [
            float(flat["right"][wanted["right"]][1]),
            float(flat["right"][wanted["right"]][2]),
        ],
    }
    shape = {"first": "inflated", "second": "flat", "t": 1}
    code = PICK.replace("SHAPE", json.dumps(shape))
    code = code.replace("POINTS", f"[({json.dumps(at)})[panel.side]]")
    found = run_node(tmp_path, code, geometry_blob())
    assert [found[0][0], found[1][0]] == [wanted["left"], wanted["right"]]


@needs_node
def test_outlines_follow_the_border_of_a_region(tmp_path):
    faces = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2]], dtype=np.uint16)
    bits = np.array([0b10, 0b10, 0, 0b01, 0], dtype=np.uint16)
    code = """
    const { arrays } = await blob(0);
    const pairs = geometry.outlinePairs(arrays.faces, arrays.bits, 0, 1);
    const points = Float32Array.from([0,0,0, 2,0,0, 0,2,0, 2,2,0, 4,4,0]);
    console.log(JSON.stringify({ pairs, middle: Array.from(geometry.midpoints(points, pairs)) }));
    """
    found = run_node(tmp_path, code, pack({}, {"faces": faces, "bits": bits}))
    crossed = np.array(found["pairs"]).reshape(-1, 2)
    # Bit 1 holds vertices 0 and 1: edges 2-0 and 2-1 of the first face, 1-3 and 1-2 of the second.
    assert sorted(map(sorted, crossed.tolist())) == [[0, 2], [1, 2], [1, 2], [1, 3]]
    middle = np.array(found["middle"]).reshape(-1, 3)
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0], [4, 4, 0]], dtype=float)
    np.testing.assert_allclose(middle, corners[crossed].mean(axis=1))


@needs_node
def test_normals_point_outwards_and_dragging_keeps_shapes(tmp_path):
    code = """
    const sphere = geometry.readHemispheres(await blob(0)).right.shapes.sphere;
    let outwards = 0;
    for (let i = 0; i < sphere.points.length; i += 3) {
      const axes = [i, i + 1, i + 2];
      const dot = axes.reduce((sum, at) => sum + sphere.points[at] * sphere.normals[at], 0);
      outwards += dot > 0;
    }
    const view = new camera.Camera();
    for (let i = 0; i < 500; i++) view.drag(7, -3);
    console.log(JSON.stringify({ outwards, rotation: view.rotation }));
    """
    found = run_node(tmp_path, code, geometry_blob())
    assert found["outwards"] == 10242
    rotation = np.array(found["rotation"]).reshape(3, 3)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)


ARRANGE = """
const shape = SHAPE;
const found = CASES.map(([count, width, height]) => layout.arrange(count, shape, width, height));
console.log(JSON.stringify(found));
"""
INFLATED = {"first": "inflated", "second": "inflated", "t": 0}
FLAT = {"first": "inflated", "second": "flat", "t": 1}


@needs_node
@pytest.mark.parametrize(("shape", "views"), [(INFLATED, 4), (FLAT, 2)])
def test_panels_fill_the_canvas_without_overlap(tmp_path, shape, views):
    cases = [[count, *size] for count in (1, 2, 3, 4) for size in ([820, 560], [1540, 560])]
    code = ARRANGE.replace("SHAPE", json.dumps(shape)).replace("CASES", json.dumps(cases))
    for (count, width, height), found in zip(cases, run_node(tmp_path, code), strict=True):
        assert len(found["panels"]) == count and len(found["places"]) == count * views
        covered = np.zeros((height, width), dtype=int)
        for place in found["places"]:
            box = found["panels"][place["panel"]]
            assert box["x"] - 1e-6 <= place["x"] and box["y"] - 1e-6 <= place["y"]
            rows = slice(round(place["y"]), round(place["y"] + place["height"]))
            columns = slice(round(place["x"]), round(place["x"] + place["width"]))
            covered[rows, columns] += 1
        assert covered.max() == 1, "two views share pixels"
        assert covered.mean() > 0.6, "the canvas is used"
        seen = {(one["view"]["side"], one["view"]["from"]) for one in found["places"]}
        assert len(seen) == views


@needs_node
def test_the_widest_brains_decide_how_panels_are_arranged(tmp_path):
    cases = [[3, 820, 560], [3, 1540, 400], [1, 820, 400]]
    code = ARRANGE.replace("SHAPE", json.dumps(INFLATED)).replace("CASES", json.dumps(cases))
    narrow, wide, single = run_node(tmp_path, code)
    assert [box["x"] for box in narrow["panels"]] == [0, 0, 0]  # under each other
    assert [box["y"] for box in wide["panels"]] == [0, 0, 0]  # beside each other
    order = [(one["view"]["side"], one["view"]["from"]) for one in narrow["places"][:4]]
    assert order[0] == ("left", "lateral") and order[-1] == ("right", "lateral")
    assert single["places"][0]["y"] == 0, "a single panel needs no title"


@needs_node
def test_one_brain_fills_its_panel_when_that_is_chosen(tmp_path):
    code = """
    const shape = SHAPE;
    const found = CASES.map(([count, width, height, views]) => (
      layout.arrange(count, shape, width, height, views)));
    console.log(JSON.stringify(found));
    """
    cases = [[2, 1000, 500, "left"], [1, 1000, 400, "lateral"], [1, 400, 800, "medial"]]
    code = code.replace("SHAPE", json.dumps(INFLATED)).replace("CASES", json.dumps(cases))
    pair, wide, tall = run_node(tmp_path, code)
    assert [one["view"]["side"] for one in pair["places"]] == ["left", "left"]
    assert all(one["width"] == 500 and one["height"] > 450 for one in pair["places"])
    assert [one["y"] for one in wide["places"]] == [0, 0], "beside each other"
    assert [one["x"] for one in tall["places"]] == [0, 0], "under each other"


@needs_node
def test_small_patches_are_islands_and_smoothing_takes_the_neighbours(tmp_path):
    # A strip of triangles: 0-1-2, 1-3-2, 2-3-4, 3-5-4, ... on the left; one triangle on the right.
    strip = [[i, i + 1, i + 2] for i in range(8)]
    code = """
    const side = (faces, count) => ({ faces: faces.flat(), count });
    const near = display.neighbourhood({ left: side(STRIP, 10), right: side([[0, 1, 2]], 3) });
    const shown = Uint8Array.from([1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1, 1]);
    const bytes = Uint8Array.from([10, 20, 30, 255, 40, 0, 0, 0, 0, 0, 90, 90, 90]);
    console.log(JSON.stringify({
      neighbours: [...new Set(near.list.slice(near.starts[2], near.starts[3]))].sort(),
      islands: Array.from(display.findIslands(shown, near, 4)),
      smoothed: Array.from(display.smooth(bytes, near)),
    }));
    """
    found = run_node(tmp_path, code.replace("STRIP", json.dumps(strip)))
    assert found["neighbours"] == [0, 1, 3, 4]
    # Six connected vertices stay; one alone and the three of the other side are islands.
    assert found["islands"] == [0] * 8 + [255, 0, 255, 255, 255]
    assert found["smoothed"][3] == 255, "a missing value stays missing"
    assert found["smoothed"][10:] == [90, 90, 90], "no value crosses to the other side"
    assert 20 < found["smoothed"][2] < 32, "the missing neighbour counts for nothing"


@needs_node
def test_a_difference_is_shown_where_the_larger_value_reaches_the_threshold(tmp_path):
    code = """
    const part = (bytes) => ({ header: { low: 0, high: 1 }, bytes: Uint8Array.from(bytes) });
    const panel = { sources: [part([0, 200, 100, 255]), part([200, 0, 0, 200])] };
    const one = { header: { low: -1, high: 1 }, bytes: Uint8Array.from([0, 127, 254]) };
    const alone = { sources: [one] };
    console.log(JSON.stringify([
      Array.from(display.shownVertices(panel, 0.5, false)),
      Array.from(display.shownVertices(alone, 0.5, true)),
    ]));
    """
    assert run_node(tmp_path, code) == [[1, 1, 0, 0], [1, 0, 1]]


@needs_node
def test_a_saved_view_comes_back_from_the_address_and_nonsense_does_not(tmp_path):
    code = """
    const turn = "1_-0.5_0_0_1_0_1.7";
    const view = { layer: 3, hold: "A2", threshold: 0.25, turn, unfold: null };
    const odd = "layer:3,<b>:1,x:a b,:,threshold:-0.1";
    const again = saved.viewFromText(saved.viewToText(view));
    console.log(JSON.stringify([again, saved.viewFromText(odd)]));
    """
    kept, odd = run_node(tmp_path, code)
    assert kept == {"layer": "3", "hold": "A2", "threshold": "0.25", "turn": "1_-0.5_0_0_1_0_1.7"}
    assert odd == {"layer": "3", "threshold": "-0.1"}


@needs_node
def test_python_and_the_browser_agree_on_layers(tmp_path):
    cases = [(place, steps, last) for steps in (6, 12, 24) for last in (0, 1, 6, 12, 24)
             for place in range(steps + 1)]  # fmt: skip
    code = """
    const found = CASES.map((one) => panels.layerAt(...one));
    console.log(JSON.stringify([...found, panels.layerAt(0, 0, 0)]));
    """
    found = run_node(tmp_path, code.replace("CASES", json.dumps(cases)))
    assert found == [*(layer_at(*case) for case in cases), 0]


PANELS = """
const made = await Promise.all([blob(0), blob(1)]);
const [a, b] = made.map((one, place) => new panels.ScorePanel(one, "AB"[place]));
const difference = new panels.DifferencePanel(a, b, "A minus B");
b.held = 1;
for (const panel of [a, b]) panel.follow(2, 2);
const indices = INDICES;
console.log(JSON.stringify({
  layers: [a.layer, b.layer],
  names: [a.layerName, difference.layerName],
  values: indices.map((i) => [a.valueAt(i), b.valueAt(i), difference.valueAt(i)]),
  mean: a.regionMean(0),
}));
"""


@needs_node
def test_a_difference_is_made_of_the_layers_that_its_panels_show(tmp_path):
    rng = np.random.default_rng(0)
    regions = {"late_language": np.arange(20484) < 500}
    values = rng.uniform(-0.1, 0.6, (2, 3, 20484)).astype(np.float32)
    values[0, :, 7] = np.nan
    blobs = [
        map_blob(MapSet(one, [f"layer {i}" for i in range(3)], "r", 0.0, 0.5, 0.1, regions=regions))
        for one in values
    ]
    indices = [0, 7, 499, 20483]
    code = PANELS.replace("INDICES", json.dumps(indices))
    found = run_node(tmp_path, code, *blobs)
    assert found["layers"] == [2, 1], "the held panel keeps its layer"
    assert found["names"] == ["layer 2", "layer 2 minus layer 1"]
    step = 0.7 / 254
    for index, (one, two, difference) in zip(indices, found["values"], strict=True):
        assert two == pytest.approx(values[1, 1, index], abs=step)
        if index == 7:
            assert one is None and difference is None
        else:
            expected = values[0, 2, index] - values[1, 1, index]
            assert difference == pytest.approx(expected, abs=2 * step)
    assert found["mean"] == pytest.approx(values[0, 2, :500][np.arange(500) != 7].mean())


@needs_node
def test_the_camera_is_the_same_after_the_address(tmp_path):
    code = """
    const [view, again, odd] = [new camera.Camera(), new camera.Camera(), new camera.Camera()];
    const untouched = view.toText();
    view.drag(37, -12); view.drag(-5, 88); view.zoomBy(1.7);
    again.fromText(view.toText());
    for (const text of ["", "1_2", "a_b_c_d_e_f_g", "0_0_0_0_0_0_1"]) odd.fromText(text);
    console.log(JSON.stringify({ untouched, text: view.toText(), zoom: again.zoom,
      one: view.rotation, two: again.rotation, odd: odd.toText() }));
    """
    found = run_node(tmp_path, code)
    assert found["untouched"] is None and found["odd"] is None
    np.testing.assert_allclose(found["two"], found["one"], atol=2e-3)
    rotation = np.array(found["two"]).reshape(3, 3)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert found["zoom"] == pytest.approx(1.7, abs=1e-3) and re.fullmatch(
        r"[-\d._]+", found["text"]
    )


@needs_node
def test_numbers_are_spoken_with_a_true_minus_and_no_negative_zero(tmp_path):
    code = """
    const cases = [[-0.001, 2, false], [-0.123, 2, true], [0.456, 3, true], [0, 2, true]];
    console.log(JSON.stringify(cases.map((one) => dom.spoken(...one))));
    """
    assert run_node(tmp_path, code) == ["0.00", "\u22120.12", "+0.456", "0.00"]


@needs_node
def test_a_series_passes_from_row_to_row_and_over_the_seam(tmp_path):
    """What is drawn between two rows is on the straight line between their bytes."""
    maps = np.random.default_rng(0).integers(0, 255, (9, 5)).astype(np.uint8)
    maps[4] = 255  # a row that was not scored
    header = {"low": -2.0, "high": 2.0}
    blobs = [
        pack({**header, "first": 0}, {"maps": maps[:7]}),  # rows 0 to 5, and the next one
        pack({**header, "first": 6}, {"maps": maps[6:]}),
    ]
    at = [0, 1.25, 3, 3.5, 4, 4.75, 5.5, 6, 7.9, 8, 8.01, -0.5]
    code = f"""
    const made = new series.Series(9);
    const at = {json.dumps(at)};
    made.add(0, await blob(0), 5);
    const before = at.map((row) => (made.show(row, row < 6 ? 0 : 1), made.valueAt(2)));
    made.add(1, await blob(1), 5);
    const after = at.map((row) => (made.show(row, row < 6 ? 0 : 1), made.valueAt(2)));
    console.log(JSON.stringify({{ before, after }}));
    """
    found = run_node(tmp_path, code, *blobs)
    values = np.where(maps[:, 2] == 255, np.nan, -2 + 4 * maps[:, 2].astype(float) / 254)

    def expected(row):
        if not 0 <= row <= 8:
            return None
        low, mix = int(row), row - int(row)
        value = values[low] if not mix else (1 - mix) * values[low] + mix * values[low + 1]
        return None if np.isnan(value) else pytest.approx(value)

    assert found["after"] == [expected(row) for row in at]
    assert found["before"] == [expected(row) if row < 6 else None for row in at]


@needs_node
def test_words_and_times_are_found_where_they_are(tmp_path):
    starts = [0.5, 2.5, 4.5]
    code = f"""
    const starts = {json.dumps(starts)};
    console.log(JSON.stringify({{
      place: [0.4, 0.5, 3, 99].map((at) => timeline.placeAt(starts, at)),
      next: [0, 0.5, 3, 4.6].map((at) => timeline.wordFrom(starts, at, 1)),
      before: [0.6, 2.6, 3.5, 99].map((at) => timeline.wordFrom(starts, at, -1)),
      none: timeline.wordFrom([], 3, 1),
      clock: [0, 59.9, 61, 3725].map(timeline.clockText),
      between: [1.5, 0, 2.5, 9].map((at) => courses.between([1, 3, NaN, 5], at)),
      nice: [0.3, 1, 7].map(courses.niceEnd),
    }}));
    """
    found = run_node(tmp_path, code)
    assert found["place"] == [-1, 0, 1, 2]
    assert found["next"] == [0.5, 2.5, 4.5, 4.5]
    # Just after a word began the one before it, later on its own beginning.
    assert found["before"] == [0.5, 0.5, 2.5, 4.5] and found["none"] is None
    assert found["clock"] == ["0:00", "0:59", "1:01", "1:02:05"]
    assert found["between"] == [None, 1, None, None] and found["nice"] == [0.5, 1, 10]


@needs_node
def test_courses_are_read_place_by_place(tmp_path):
    rng = np.random.default_rng(1)
    measured = rng.standard_normal((2, 12))
    predicted = rng.standard_normal((2, 2, 12))
    made = [
        Course(f"region {n}", "#0072B2", measured[n], predicted[n], [f"note {n}"]) for n in (0, 1)
    ]
    code = """
    const found = courses.readCourses(await blob(0));
    const list = (values) => Array.from(values, (v) => (Number.isFinite(v) ? v : null));
    console.log(JSON.stringify(found.map((one) => ({ ...one, measured: list(one.measured),
      predicted: one.predicted.map(list), running: one.running.map(list) }))));
    """
    found = run_node(tmp_path, code, course_blob(made))
    for place, one in enumerate(found):
        assert one["title"] == f"region {place}" and one["notes"] == [f"note {place}"]
        np.testing.assert_allclose(one["measured"], measured[place], rtol=1e-6)
        np.testing.assert_allclose(one["predicted"], predicted[place], rtol=1e-6)
        assert one["running"][1][:9] == [None] * 9
        assert one["running"][1][-1] == pytest.approx(one["r"][1], abs=1e-6)


@needs_node
def test_a_painted_pixel_shows_the_face_that_lies_there(tmp_path):
    """The processor's frames against the ray test: nearest faces, their values, the threshold."""
    code = """
    const hemispheres = geometry.readHemispheres(await blob(0));
    const view = new camera.Camera(), reach = geometry.shapeReach(hemispheres);
    const shape = { first: "pial", second: "pial", t: 0 }, [width, height] = [140, 100];
    const frame = view.frame(shape, reach, width, height), { side } = camera.VIEWS[0];
    const matrix = view.matrix(camera.VIEWS[0]), hemisphere = hemispheres[side];
    const seen = painter.seenPixels(hemisphere, shape, matrix, frame, width, height);
    const tried = [], pixels = new Uint32Array(width * height);
    for (let n = 50; n < seen.at.length; n += 97) {
      const [x, y] = [(seen.at[n] % width) + 0.5, Math.floor(seen.at[n] / width) + 0.5];
      const point = [((x / width) * 2 - 1) * frame[0], (1 - (y / height) * 2) * frame[1]];
      const vertex = picking.pickVertex(hemisphere, shape, matrix, point);
      tried.push(seen.corners.subarray(3 * n, 3 * n + 3).includes(vertex));
    }
    const table = Uint8Array.from({ length: 768 }, (_, k) => Math.floor(k / 3));
    const paint = (value) => {
      const values = new Float32Array(hemisphere.count).fill(value);
      painter.paintPixels(seen, values, { low: -1, high: 1, threshold: 0.2, table }, pixels);
      const n = 60, shown = pixels[seen.at[n]];
      const { light, grey } = seen;
      return [shown & 255, shown >>> 24, Math.floor(light[n] * 255), light[n] * grey[n]];
    };
    const light = [Math.min(...seen.light), Math.max(...seen.light)];
    console.log(JSON.stringify({ tried, share: seen.at.length / (width * height), top: paint(3),
      low: paint(-0.1), missing: paint(NaN), light }));
    """
    found = run_node(tmp_path, code, geometry_blob())
    assert len(found["tried"]) > 40 and np.mean(found["tried"]) > 0.97, "ties at edges only"
    assert 0.35 < found["share"] < 0.8
    assert found["top"][0] == found["top"][2] and found["top"][1] == 255
    for grey in (found["low"], found["missing"]):
        assert grey[0] == int(grey[3])
    assert 0.4 < found["light"][0] < found["light"][1] <= 1.0


def test_the_player_is_the_viewer_with_more_in_it():
    """Every part that a script asks for is there once, and nothing of the player is elsewhere."""
    html, css = player_markup()
    viewer, _ = markup()
    assert "<!--" not in html and "<!--" not in viewer and ".player" in css
    parts = re.findall(r'data-part="([\w-]+)"', html)
    assert len(parts) == len(set(parts))
    assert set(re.findall(r'data-part="([\w-]+)"', viewer)) < set(parts)
    asked = re.findall(r'\bpart\("([\w-]+)"\)', script(PLAYER_MODULES))
    assert set(asked) <= set(parts)


@needs_node
def test_inks_are_shown_where_any_of_their_maps_reaches_the_threshold(tmp_path):
    code = """
    const source = (values) => ({
      header: { low: 0, high: 254, names: ["layer 0"], label: "r", regions: [] },
      arrays: { maps: Uint8Array.from(values), regions: new Uint16Array(4) },
    });
    const parts = [[9, 0, 255, 255], [0, 9, 255, 9]]
      .map((one, at) => new panels.ScorePanel(source(one), "AB"[at]));
    const mix = new panels.MixPanel(parts, "mixed");
    const shown = (panel) => Array.from(display.shownVertices(panel, 5, false));
    console.log(JSON.stringify({
      mix: shown(mix), minus: shown(new panels.DifferencePanel(...parts, "A minus B")),
      layer: mix.layerName, ink: inks.inkOf("#FF0033"),
    }));
    """
    found = run_node(tmp_path, code)
    assert found["mix"] == [1, 1, 0, 1], "what has no value adds nothing"
    assert found["minus"] == [1, 1, 0, 0]
    assert found["layer"] == "layer 0" and found["ink"] == [1, 0, 0.2]
