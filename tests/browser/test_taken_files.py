"""Every figure's files, opened by other programs, hold the numbers of the page."""

import io
import json
import re
import zipfile
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import nibabel
import numpy as np
import pandas as pd
import pytest
from kit.results.made_up import made_up_result, put_result
from kit.results.made_up_probing import put_probing
from kit.results.made_up_story import put_story
from kit.results.made_up_study import put_study
from kit.site.browser import settle
from kit.site.drawn_svg import by_id, points_of, scale_of
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage
from PIL import Image

from braindash.io.store import Store
from braindash.io.surfaces import SPACES, load_surface

pytestmark = pytest.mark.browser
HALF = SPACES["fsaverage5"]
PAIR = "model=toy-model&compare=toy-tuned&subject=S1"
# Where figures stand: the address, and how many there are at least.
PLACES = {
    "layers": (PAIR, 2),
    "cortex": ("model=toy-model&subject=S1&target=9000", 1),
    "overview": (PAIR, 1),
    "compare": (f"{PAIR}&target=9000", 2),
    "probes": ("model=toy-model&compare=toy-other", 4),
    "studies": ("", 1),
}
# What plotly draws on the page: the numbers that it was given.
FIGURES = """() => [...document.querySelectorAll('.js-plotly-plot')].map((plot) => {
  const list = (values) => Array.from(values ?? [], (one) =>
    (one !== null && typeof one === "object" ? Array.from(one) : one));
  return plot._fullData.filter((one) => one.visible === true).map((one) => ({
    type: one.type, mode: one.mode, name: one.name, fill: one.fill,
    number: one.index, panel: `${one.xaxis}-${one.yaxis}`,
    x: list(one.x), y: list(one.y), z: list(one.z), colour: one.line?.color }));
})"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("taken")
    store = Store(root / "store")
    put_story(store, root / "data", model="toy-model")
    put_result(store, model="toy-tuned", subject="S1", seed=1)
    put_probing(store, model="toy-model")
    put_probing(store, model="toy-other", draw=1)
    put_study(root / "store")
    return store


@dataclass
class Taken:
    """An archive that a visitor took away."""

    name: str
    files: dict[str, bytes]

    def of(self, form: str) -> list[bytes]:
        return [content for name, content in self.files.items() if name.endswith(f".{form}")]

    def table(self) -> pd.DataFrame:
        """Open the data in pandas: both forms hold the same."""
        parquet = pd.read_parquet(io.BytesIO(self.of("parquet")[0]))
        csv = pd.read_csv(io.BytesIO(self.of("csv")[0]), low_memory=False)
        assert list(csv) == list(parquet) and len(csv) == len(parquet)
        for name in parquet.select_dtypes("number"):
            # CSV has the digits that tell numbers of the column's own precision apart.
            written = csv[name].astype(parquet[name].dtype)
            np.testing.assert_allclose(written, parquet[name], rtol=1e-12)
        assert parquet["simulated"].all() and parquet["source"].str.contains("SIMULATED").all()
        return parquet


def take_all(page, only: str = "") -> list[Taken]:
    """Open every "Take away" of the page, or one, and take all that it offers as one archive."""
    keys = page.evaluate(
        "() => [...document.querySelectorAll('[class*=st-key-take_]')]"
        ".map((e) => e.className.match(/st-key-(take_[\\w-]+)/)[1])"
    )
    found = []
    for key in [f"take_{only}"] if only else dict.fromkeys(keys):
        control = page.locator(f".st-key-{key} button").first
        if not control.is_visible():  # in a tab that is not open
            continue
        control.click()
        every = page.get_by_role("button", name="All", exact=True)
        every.wait_for()
        with page.expect_download(timeout=300_000) as told:  # surfaces take the longest
            every.click()
        archive = zipfile.ZipFile(told.value.path())
        files = {name: archive.read(name) for name in archive.namelist()}
        found.append(Taken(key.removeprefix("take_"), files))
        page.keyboard.press("Escape")
        every.wait_for(state="hidden")
    return found


def same_points(figure, content: bytes) -> bool:
    """Say whether an SVG draws the lines of a figure, each at its numbers."""
    ids = by_id(content)
    numbers = {int(name.partition("-")[2]) for name in ids if re.fullmatch(r"trace-\d+", name)}
    if not {one["number"] for one in figure} <= numbers:
        return False
    lines = [one for one in figure if one["type"] == "scatter" and "lines" in one["mode"]]
    return all(_same_line(one, ids) for one in lines if one["fill"] == "none")


def _same_line(trace, ids) -> bool:
    panel = ids.get(f"panel-{trace['panel']}")
    if panel is None:
        return False
    pairs = [pair for pair in zip(trace["x"], trace["y"], strict=True) if None not in pair]
    drawn = points_of(ids, trace["number"])
    if len(drawn) != len(pairs) or not pairs:
        return len(drawn) == len(pairs)
    for way, name in enumerate(("xtick", "ytick")):
        expected, scale = [pair[way] for pair in pairs], scale_of(panel, name)
        if scale is None or isinstance(expected[0], str):
            continue
        found = drawn[:, way] * scale[0] + scale[1]
        wide = 1e-3 * max(1, np.ptp(np.asarray(expected, float)))
        if not np.allclose(found, expected, rtol=0, atol=wide):
            return False
    return True


def holds(figure, table: pd.DataFrame) -> bool:
    """Say whether every number that is drawn as a point, a cell or a bar is in a table."""
    columns = [table[name].to_numpy(float) for name in table.select_dtypes("number")]
    numbers = np.unique(np.concatenate(columns))
    numbers = numbers[np.isfinite(numbers)]
    for trace in figure:
        if trace["type"] == "scatter" and trace["mode"] != "lines+markers":
            continue  # bands, lines of reference, marks of what is significant
        drawn = np.concatenate(trace["z"]) if trace["type"] == "heatmap" else trace["y"]
        shown = np.array([one for one in drawn if isinstance(one, int | float)], dtype=float)
        shown = shown[np.isfinite(shown)]
        after = np.clip(np.searchsorted(numbers, shown), 1, len(numbers) - 1)
        off = np.minimum(abs(numbers[after] - shown), abs(numbers[after - 1] - shown))
        if not len(shown) or off.max() > 1e-6:
            return False
    return True


def check_maps(taken: Taken, expected: np.ndarray) -> None:
    """nibabel and nilearn read the map of the page."""
    names = [name for name in taken.files if name.endswith("_hemi-L.func.gii")]
    assert names
    parts = {}
    for side, letter in (("left", "L"), ("right", "R")):
        content = taken.files[names[0].replace("_hemi-L", f"_hemi-{letter}")]
        parts[side] = np.stack(nibabel.GiftiImage.from_bytes(content).agg_data(), axis=-1)
    meshes = load_surface("inflated")
    mesh = PolyMesh(**{side: InMemoryMesh(one.coordinates, one.faces)
                       for side, one in meshes.items()})  # fmt: skip
    image = SurfaceImage(mesh, parts)
    assert image.shape == (2 * HALF, len(expected))
    np.testing.assert_array_equal(np.concatenate([parts["left"], parts["right"]]).T, expected)


def inks(picture: Image.Image) -> dict[tuple[int, ...], int]:
    """Count the pixels of every colour."""
    colours, counts = np.unique(
        np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0, return_counts=True
    )
    return {tuple(map(int, one)): int(n) for one, n in zip(colours, counts, strict=True)}


def colours_of(figure) -> set[tuple[int, ...]]:
    """Colours of the curves, as plotly writes them."""
    curves = [one for one in figure if one["type"] == "scatter" and "lines+markers" in one["mode"]]
    return {_rgb(one["colour"]) for one in curves}


def _rgb(text: str) -> tuple[int, ...]:
    if text.startswith("#"):
        return tuple(bytes.fromhex(text[1:]))
    return tuple(map(int, re.findall(r"\d+", text)))[:3]


def check_drawn(page, taken: Taken, figure, folder) -> None:
    """The browser draws the SVG, its viewer the PDF, and the PNG holds the same curves."""
    wanted = colours_of(figure)
    assert wanted
    for form in ("svg", "pdf"):
        path = folder / f"{taken.name}.{form}"
        path.write_bytes(taken.of(form)[0])
        page.goto(path.as_uri())
        for _ in range(40):  # the viewer draws when it is ready
            picture = Image.open(io.BytesIO(page.screenshot()))
            seen = inks(picture)
            if all(seen.get(one, 0) > 20 for one in wanted):
                break
            page.wait_for_timeout(500)
        assert all(seen.get(one, 0) > 20 for one in wanted), (form, wanted)
    seen = inks(Image.open(io.BytesIO(taken.of("png")[0])))
    assert all(seen.get(one, 0) > 20 for one in wanted)


def opened(page, address: str, n_figures: int) -> list[list[dict]]:
    """Open a page; gives what its figures draw."""
    page.goto(address)
    page.locator(".js-plotly-plot").nth(n_figures - 1).wait_for(timeout=180_000)
    page.traffic.rest(page)
    settle(page)
    assert not page.get_by_role("button", name="Parquet").count(), "offered when it is asked for"
    return page.evaluate(FIGURES)


def check(figures, taken: list[Taken]) -> None:
    """Each figure of a page is in one of its files, drawn and as numbers."""
    tables = {one.name: one.table() for one in taken if one.of("parquet")}
    for one in taken:
        assert all(json.loads(told)["simulated"] is True for told in one.of("json"))
    for figure in figures:
        drawn = [one for one in taken if one.of("svg") and same_points(figure, one.of("svg")[0])]
        matching = [one for one in drawn if holds(figure, tables[one.name])]
        assert matching, f"no file holds {[trace['name'] for trace in figure]}"


def test_curves_leave_as_files_that_other_programs_open(page, serve, store, tmp_path):
    address = f"{serve(store.root).url}/layers?model=toy-tuned&subject=S1"
    figure, *_ = opened(page, address, 1)
    [taken] = take_all(page, "curves")
    check([figure], [taken])
    expected = made_up_result(model="toy-tuned", subject="S1", seed=1).regions()
    pd.testing.assert_series_equal(taken.table()["r"], expected["r"], check_dtype=False)
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors
    check_drawn(page, taken, figure, tmp_path)


@pytest.mark.campaign
@pytest.mark.parametrize("place", PLACES)
def test_files_of_every_figure_hold_the_numbers_of_the_page(place, page, serve, store):
    query, n_figures = PLACES[place]
    figures = opened(page, f"{serve(store.root).url}/{place}?{query}", n_figures)
    taken = take_all(page)
    assert len(figures) >= n_figures
    check(figures, taken)
    for content in (content for one in taken for content in one.of("svg")):
        ET.fromstring(content)
    if place == "cortex":
        [maps] = [one for one in taken if one.of("func.gii")]
        check_maps(maps, made_up_result(model="toy-model", subject="S1", seed=0).r)
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors
