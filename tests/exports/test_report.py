"""The report of one HTML file: what it holds, that it asks nothing, and that names stay names."""

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from kit.results.made_up import made_up_result, put_result
from kit.results.made_up_probing import put_probing
from typer.testing import CliRunner

import braindash
from braindash.cli import app
from braindash.encoding.several.comparison import Group
from braindash.errors import BraindashError, InputError
from braindash.exports.report import build as building
from braindash.exports.report.build import build
from braindash.exports.report.drawing import Curve, chart
from braindash.io.store import Store
from braindash.names import without_places
from braindash.references import REFERENCES
from braindash.viewer.packing import unpack
from braindash.views.tables import with_interval

PLACE = "/home/someone/lab/manifest.toml"
ODD = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


class Page(HTMLParser):
    """A page's elements, with the text that is directly in them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[SimpleNamespace] = []
        self.open: list[SimpleNamespace] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(SimpleNamespace(tag=tag, given=dict(attrs), text=""))
        self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        if self.open and self.open[-1].tag == tag:
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.open[-1].text += data

    def all(self, tag, **given):
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in given.items()}
        return [one for one in self.elements
                if one.tag == tag and wanted.items() <= one.given.items()]  # fmt: skip

    @property
    def packed(self) -> dict[str, bytes]:
        found = self.all("script", type="application/octet-stream")
        return {
            one.given["id"].removeprefix("packed-"): base64.b64decode(one.text) for one in found
        }

    def saved(self, file: str) -> str:
        (place,) = self.all("div", data_file=file)
        return zlib.decompress(self.packed[place.given["data-packed"]]).decode()


@pytest.fixture(scope="module")
def pair():
    """Two models of two subjects; the second was tuned from the first."""
    return [
        made_up_result(model=model, subject=subject, seed=seed)
        for seed, model in enumerate(("toy-model", "toy-tuned"))
        for subject in ("S1", "S2")
    ]


@pytest.fixture(scope="module")
def made(pair):
    before, after = (one.provenance["model"]["fingerprint"] for one in (pair[0], pair[2]))
    return build(pair, bases={after: before})


@pytest.fixture(scope="module")
def page(made):
    return Page(made.html)


def test_it_says_what_was_found_and_stamps_it(made, page, pair):
    told = [one.text for one in page.all("p", class_="finding")]
    assert len(told) == 3
    assert re.match(r"In late language the last layer (rises|falls|shows no sure change)", told[0])
    assert "of 2 subjects" in told[0]
    assert made.simulated and page.all("div", class_="stamp")[0].text == "SIMULATED DATA"
    assert page.all("h1")[0].text == "toy-tuned and toy-model on made up"


def test_it_carries_the_maps_and_meshes_of_both_models(page, pair):
    told = json.loads(page.all("script", type="application/json")[0].text)
    assert [panel["name"] for panel in told["panels"]] == ["toy-tuned", "toy-model"]
    for panel, results in zip(told["panels"], (pair[2:], pair[:2]), strict=True):
        header, arrays = unpack(page.packed[panel["maps"]])
        values = Group.of(results).scores()
        shown = header["low"] + arrays["maps"].astype(float) / 254 * (
            header["high"] - header["low"]
        )
        known = np.isfinite(values)
        step = (header["high"] - header["low"]) / 254
        np.testing.assert_allclose(shown[known], values[known], atol=step / 2 + 1e-6)
        assert "faces" in unpack(page.packed[panel["geometry"]])[1]
    assert unpack(page.packed[told["pair"]["statistics"]])[1]["difference"].shape[:2] == (4, 4)
    assert told["settings"]["colours"] in page.packed


def test_curves_and_tables_have_the_numbers_of_the_results(page, pair):
    table = Group.of(pair[2:]).regions()
    rows = table[table["region"] == "late_language"].sort_values("layer")
    charts = page.all("svg", class_="chart")
    assert any(one.given["aria-label"].startswith("Late language") for one in charts)
    titles = {one.text for one in page.elements if one.tag == "title"}
    for _, row in rows.iterrows():
        ends = f"[{row['low']:.3f}, {row['high']:.3f}]"
        assert f"toy-tuned, {int(row['layer'])}: {row['r']:.3f} {ends}" in titles
    last = rows.iloc[-1]
    cells = {one.text for one in page.all("td")}
    assert with_interval(last["r"], last["low"], last["high"]) in cells
    saved = page.saved("toy-tuned-regions.csv").splitlines()
    assert len(saved) == len(table) + 1 and saved[0].startswith("layer,region,r,")


def test_methods_are_of_the_specification_and_cite_what_was_used(page, pair):
    text = " ".join(one.text for one in page.all("dd"))
    assert "delays of 1, 2, 3, 4 TR" in text and "2 values from 1 to 100" in text
    assert "40 permutations" in text and "repeats of story" in text
    assert "SIMULATED" in text and "2 subjects (S1, S2)" in text
    cited = " ".join(one.text for one in page.all("li"))
    assert REFERENCES["schoppe"] in cited and REFERENCES["phipson"] in cited
    assert REFERENCES["lora"] not in cited and "its citation is not recorded" in cited


def test_provenance_is_whole_but_for_places(pair):
    named = replace(pair[0], provenance=pair[0].provenance | {
        "data": {"name": "made up", "simulated": True, "manifest": PLACE},
        "asked": {"command": "encode", "request": {"data": PLACE},
                  "manifest": '[dataset]\nname = "x"\ncitation = "Who (2020)"\nlicence = "CC0"\n'},
    })  # fmt: skip
    html = build([named]).html
    page = Page(html)
    record = json.loads(page.saved(f"encoding-{named.key[:12]}.json"))
    assert record["spec"] == named.spec
    assert record["provenance"]["data"]["manifest"] == "…/manifest.toml"
    assert record["provenance"]["versions"] == named.provenance["versions"]
    assert "someone" not in html and not any(b"someone" in one for one in page.packed.values())
    assert "Who (2020) Licence: CC0." in " ".join(one.text for one in page.all("li"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/some one/x y.wav", "…/x y.wav"),
        ("story: /data/lab/a.wav is short", "story: …/a.wav is short"),
        (r"C:\Users\me\a.wav", "…/a.wav"),
        ("file:///srv/x/y.txt", "…/y.txt"),
        ("~/lab/m.toml", "…/m.toml"),
        ("untrained:/home/some one/a model@3", "untrained:…/a model@3"),
        ('model = "shuffled:/srv/lab/model"', 'model = "shuffled:…/model"'),
        (r"words: words:C:\Users\me\v.txt", "words: words:…/v.txt"),
        ("text:~/lab/llm, acoustic:logmel", "text:…/llm, acoustic:logmel"),
        ("http://x.org/a/b, hf:me/model, at 10:/3, s3://lab/a/b", None),
        ("r / ceiling, km/h, facebook/hubert-base, stimuli/a.wav, https://x.org/a/b", None),
    ],
)
def test_places_are_cut_and_nothing_else(text, left):
    assert without_places({"a": [text]}) == {"a": [text if left is None else left]}


def test_no_request_is_possible_and_only_its_own_script_runs(made, page):
    (policy,) = (one.given["content"] for one in page.all("meta")
                 if one.given.get("http-equiv") == "Content-Security-Policy")  # fmt: skip
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    run = [one for one in page.all("script") if one.given.get("type") == "module"]
    assert len(run) == 1 and len(page.all("script")) == len(page.packed) + 2
    for text in (run[0].text, *re.findall(r"<style>(.*?)</style>", made.html, re.DOTALL)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not re.search(r"^\s*import |^export (?!default)", run[0].text, re.MULTILINE)
    loaded = [one for one in page.elements
              if {"src", "href", "style", "onclick"} & one.given.keys() - {"id"}]  # fmt: skip
    assert not loaded


def test_names_with_markup_stay_names():
    odd = made_up_result(model=ODD.partition("<s")[0].replace("/", ""), subject=ODD)
    page = Page(build([odd], title=ODD).html)
    assert len(page.all("script")) == len(page.packed) + 2 and not page.all("img", src="x")
    assert page.all("h1")[0].text == ODD and page.all("title")[0].text == ODD
    told = json.loads(page.all("script", type="application/json")[0].text)
    assert told["panels"][0]["name"].startswith("<img src=x")


def test_sizes_add_up_and_are_small(made):
    assert sum(made.sizes.values()) == pytest.approx(made.n_bytes, abs=200)
    assert made.n_bytes < 4_000_000
    assert set(made.sizes) >= {"meshes", "maps", "script and styles", "text, curves and tables"}


def test_a_report_that_is_too_large_says_what_fits(pair, monkeypatch):
    pair = [pair[0], pair[2]]
    whole = build(pair)
    most = whole.n_bytes - whole.sizes["maps"] // 2 + 2000
    monkeypatch.setattr(building, "MOST_BYTES", most)
    with pytest.raises(InputError, match=r"would take .* MB, more than") as caught:
        build(pair)
    assert "--maps 1 " in caught.value.hint
    fits = build(pair, maps=1)
    assert fits.n_bytes <= most and fits.n_maps == 1
    left = " ".join(one.text for one in Page(fits.html).all("p", class_="note"))
    assert "The maps of toy-tuned were left out by choice" in left
    assert build(pair[:1], maps=0).n_maps == 0


def test_results_without_a_surface_and_of_other_kinds(tmp_path):
    store = Store(tmp_path)
    keys = [put_probing(store, model="toy-model"), put_result(store, space="roi")]
    made = braindash.report(keys, store=store)
    page = Page(made.html)
    assert made.n_maps == 0 and made.n_results == 2
    assert "None of these results has a surface" in made.html
    assert "Probes" in {one.text for one in page.all("h2")}
    labels = " ".join(one.given["aria-label"] for one in page.all("svg", class_="chart"))
    assert "Phone" in labels and "chance" in " ".join(one.text for one in page.all("text"))


def test_models_of_other_data_are_not_subtracted():
    other = made_up_result(model="toy-tuned", subject="S1", seed=5, n_layers=3)
    page = Page(build([made_up_result(), other]).html)
    assert {one.given["data-last"] for one in page.all("svg", class_="chart")} >= {"2", "3"}
    with pytest.raises(InputError, match="given twice"):
        build([other, other])
    with pytest.raises(InputError, match="a report of 0 results"):
        build([])
    with pytest.raises(InputError, match="a report of 1001 results"):
        build([other] * 1001)


def test_a_chart_without_any_number_is_drawn_too():
    nothing = np.full(3, np.nan)
    made = chart([Curve("x", nothing, "#112233", nothing, nothing)], title="t", unit="u")
    assert made.get("data-last") == "2" and not made.findall("circle")


def test_the_command_writes_it_and_says_how_large_it_would_be(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINDASH_STORE", str(tmp_path / "store"))
    key = put_result(Store(tmp_path / "store"))
    file = tmp_path / "out" / "report.html"
    dry = CliRunner().invoke(app, ["report", key[:8], "-o", str(file), "--dry-run", "--json"])
    assert dry.exit_code == 0 and not file.exists()
    told = json.loads(dry.stdout)
    done = CliRunner().invoke(app, ["report", key[:8], "-o", str(file)])
    assert done.exit_code == 0 and done.stdout.strip() == str(file)
    assert file.stat().st_size == pytest.approx(told["bytes"], abs=200)
    with pytest.raises(InputError, match="is a folder"):
        braindash.report(key, tmp_path, store=tmp_path / "store")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BraindashError, match="cannot write to"):
        braindash.report(key, tmp_path / "file" / "report.html", store=tmp_path / "store")
