"""The story of a report: as much of it as there is room for, and no sound but where it is asked."""

import base64
import io
import json
import re
import shutil
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from kit.results.made_up_story import N_ROWS, SCORED_FROM, SECONDS, WORDS, put_story
from typer.testing import CliRunner

from braindash.cli import app
from braindash.errors import InputError
from braindash.exports.report import build as building
from braindash.exports.report.build import build
from braindash.exports.report.story import _estimate
from braindash.io.store import Store
from braindash.viewer.packing import unpack
from braindash.views.listening.played import score_map
from braindash.views.listening.series import Series

STEP = {254: 1, 127: 2, 64: 4, 32: 8}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A result whose story can be played, where its data are, and its store; to be looked at."""
    root = tmp_path_factory.mktemp("report")
    store = Store(root / "store")
    story = put_story(store, root / "data", resampled=False, n_layers=2)
    return story, store


@pytest.fixture(scope="module")
def silent(made):
    return build([made[0].result], store=made[1])


def told(report) -> dict:
    text = re.search(r'id="report-data">(.*?)</script>', report.html)[1]
    return json.loads(text)["story"]


def packed(report, name: str) -> bytes:
    return base64.b64decode(re.search(rf'id="packed-{name}">(.*?)</script>', report.html)[1])


def steps_of(report) -> int:
    return int(re.search(r"Maps in (\d+) steps", report.html)[1])


def rows_of(report, track: int) -> np.ndarray:
    """Values of a series as the page draws them."""
    (name,) = told(report)["series"][track]["sent"].values()
    header, arrays = unpack(packed(report, name))
    known = np.where(arrays["maps"] == 255, np.nan, arrays["maps"].astype(float))
    return header["low"] + known / 254 * (header["high"] - header["low"])


def test_a_report_holds_what_was_measured_and_predicted_but_no_sound(silent, made):
    settings, story = told(silent), made[0]
    assert [one["name"] for one in settings["series"]] == ["measured", "toy-model"]
    assert "sound" not in settings and "sound" not in silent.sizes and silent.sizes["story"]
    header, arrays = unpack(packed(silent, settings["story"]))
    assert header["words"] == [] and header["nBands"] == 0 and arrays["loudness"].any()
    assert header["seconds"] == pytest.approx(SECONDS, abs=0.1)
    assert "stimuli have owners" in silent.html and "word3" not in silent.html
    measured = rows_of(silent, 0)
    assert measured.shape[0] == N_ROWS and np.isnan(measured[:SCORED_FROM]).all()
    row, target = 50, 9000
    end = unpack(packed(silent, next(iter(settings["series"][0]["sent"].values()))))[0]["high"]
    allowed = 2 * end / 254 * (STEP[steps_of(silent)] + 1) / 2
    assert measured[row, target] == pytest.approx(story.response[row, target], abs=allowed)
    # Nothing else is allowed to run or to be asked for than before.
    policy = re.search(r'Security-Policy" content="(.*?)"', silent.html)[1]
    assert "default-src &#x27;none&#x27;" in policy and "media-src blob:" in policy


def test_the_sound_travels_when_it_is_asked_for(made):
    report = build([made[0].result], store=made[1], with_sound=True)
    settings = told(report)
    samples, rate = soundfile.read(io.BytesIO(packed(report, settings["sound"])))
    assert rate == 16000 and len(samples) / rate == pytest.approx(SECONDS, abs=0.1)
    header, arrays = unpack(packed(report, settings["story"]))
    assert [word for *_, word in header["words"]] == [one.label for one in WORDS]
    assert header["nBands"] == 40 and arrays["bands"].any()
    assert report.sizes["sound"] > 100_000


def test_where_room_is_short_there_are_maps_of_fewer_rows_and_then_none(silent, made, monkeypatch):
    story, store = made
    rest = silent.n_bytes - silent.sizes["story"] + building._STORY_BYTES
    seen = []
    for share in (0.5, 0.0):
        most = rest + int(share * silent.sizes["story"])
        monkeypatch.setattr(building, "MOST_BYTES", most)
        report = build([story.result], store=store)
        assert report.n_bytes <= most
        seen.append(report)
    fewer, none = seen
    (piece,) = told(fewer)["pieces"]
    assert steps_of(fewer) == 32 and 30 <= piece[1] < N_ROWS
    assert "Maps of the first" in fewer.html and "courses of all 3.0 min" in fewer.html
    assert told(none) is None and "no room for a minute of maps" in none.html


def test_series_of_noise_are_coarser_where_room_is_short(made):
    drawn = score_map(made[0].result, 0).drawn
    noise = np.random.default_rng(0).standard_normal((30, 20484)).astype(np.float32)
    series = [Series.of(lambda rows: noise[rows], 30, drawn)]
    sizes = [_estimate(series, step) for step in STEP.values()]
    assert all(coarse < 0.93 * fine for fine, coarse in pairwise(sizes))
    whole, rough = (unpack(series[0].piece(slice(0, 30), step))[1]["maps"] for step in (1, 4))
    assert set(np.unique(rough)) <= {*range(0, 254, 4), 254, 255}
    assert np.abs(whole.astype(int) - rough).max() <= 2


def test_without_predictions_or_data_the_report_says_why(made, tmp_path):
    story, store = made
    bare = Store(tmp_path / "bare")
    shutil.copytree(store.root, bare.root)
    shutil.rmtree(bare.root / "predictions")
    report = build([story.result], store=bare)
    assert told(report) is None and "predictions of model A are not in the store" in report.html
    with pytest.raises(InputError, match="no story whose sound"):
        build([story.result], store=bare, with_sound=True)
    data = story.manifest.parent
    data.rename(data.with_name("moved"))
    try:
        assert "silent clock" in build([story.result], store=store).html
        with pytest.raises(InputError):
            build([story.result], store=store, with_sound=True)
    finally:
        data.with_name("moved").rename(data)


def test_the_command_leaves_the_story_out_or_puts_its_sound_in(made, tmp_path):
    story, store = made
    command = ["report", story.result.key[:8], "--store", str(store.root), "--json", "--dry-run"]
    parts = []
    for options in ([], ["--no-story"], ["--with-sound"]):
        done = CliRunner().invoke(app, [*command, *options])
        assert done.exit_code == 0, done.output
        parts.append(json.loads(done.stdout)["parts"])
    assert "story" in parts[0] and "story" not in parts[1] and "sound" in parts[2]
