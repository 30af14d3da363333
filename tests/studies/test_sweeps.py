"""Settings that a study varies: computed, put together, and each number by another route."""

import json

import numpy as np
import pytest
from kit.data.toy_lab import NAN_TARGET, Lab, make_lab
from scipy import stats
from sklearn.linear_model import Ridge

from braindash import run_study
from braindash.core.scores import zscore
from braindash.encoding.plan import share_of_stories
from braindash.errors import InputError
from braindash.exports.studies.items import StudyFigures, default_choice
from braindash.io.store import Store
from braindash.studies.file import parse_study
from braindash.studies.lowlevel import impact_table, partition_table
from braindash.studies.record import StudyRecord, open_record
from braindash.studies.results import StudyResults
from braindash.studies.study import Study
from braindash.studies.summaries import Chosen
from braindash.studies.sweeps import best_of_bases, layer_table, sweep_table

ALPHA = 50.0
TEXT = """
name = "varied"
title = "What is varied"
data = "lab/manifest.toml"

[encode]
strategy = "chunk"
alphas = [50.0]
n_permutations = 0
n_bootstraps = 20
low_level = "residual"

[[models]]
name = "sound"
model = "acoustic:mfcc"
role = "base"

[[models]]
name = "small"
model = "MODEL"

[[sweeps]]
name = "lags"
setting = "delays"
values = [[1], [2]]
models = ["sound"]

[[sweeps]]
name = "shares"
setting = "train_share"
values = [0.4, 1.0]
draws = 2
models = ["sound"]

[[sweeps]]
name = "contexts"
setting = "context_seconds"
values = [0.5]
models = ["small"]

[[sweeps]]
name = "spaces"
setting = "low_level_space"
values = ["acoustic:energy"]
models = ["sound"]

[[sweeps]]
name = "parts"
setting = "low_level_space"
values = ["acoustic:energy+acoustic:pitch"]
models = ["sound"]
encode = {low_level = "banded"}

[[sweeps]]
name = "penalties"
setting = "penalty"
values = ["shared"]
models = ["sound"]

[figures]
layers = "all"
"""
WHOLE = Chosen("default", ("all targets",), "all")


@pytest.fixture(scope="module")
def lab(tmp_path_factory, quick_model) -> Lab:
    return make_lab(
        tmp_path_factory.mktemp("varied") / "lab", quick_model, subjects=("A", "B", "C")
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def results(lab, store) -> StudyResults:
    path = lab.folder.parent / "study.toml"
    path.write_text(TEXT.replace("MODEL", str(lab.model)))
    return run_study(path, store=store)


def sweep_of(results, name):
    return next(one for one in results.tables.sweeps if one.name == name)


def rows_of(lab, results, store, subject):
    """Features and responses of every story, each z-scored over the rows that are used."""
    import h5py

    group = results.groups["default", "sound"]
    spec = next(one for one in group.results if one.subject == subject).spec
    found = {}
    for told in (*spec["train"], *spec["test"]):
        features = zscore(store.get("features", told["features"]).read("features", 0))
        used = slice(told["first_row"], told["last_row"])
        with h5py.File(lab.folder / "responses" / subject / f"{told['name']}.hf5") as file:
            runs = file["individual_repeats"] if "individual_repeats" in file else [file["data"]]
            runs = [np.asarray(one, float)[used, :NAN_TARGET] for one in runs]
        responses = np.mean([(one - one.mean(0)) / one.std(0) for one in runs], axis=0)
        found[told["name"]] = features, responses
    return found


def shifted(features, delay):
    """Features of a delay, zeros before the story."""
    found = np.zeros_like(features)
    found[delay:] = features[: len(features) - delay] if delay else features
    return found


def literal_r(lab, results, store, subject, delays, stories):
    """Mean r over the usable targets, from sklearn's ridge and scipy's correlation."""
    rows = rows_of(lab, results, store, subject)

    def design(story):
        return np.hstack([shifted(rows[story][0], delay) for delay in delays])

    X = np.vstack([design(one) for one in stories])
    Y = np.vstack([rows[one][1] for one in stories])
    predicted = Ridge(alpha=ALPHA).fit(X, Y).predict(design("well"))
    measured = rows["well"][1]
    found = [stats.pearsonr(predicted[:, one], measured[:, one])[0] for one in range(NAN_TARGET)]
    return float(np.mean(found))


def test_lags_are_ridges_of_one_delay_each(lab, results, store):
    table = sweep_table(results, sweep_of(results, "lags"), WHOLE)
    assert list(table["setting_number"]) == [1, 2]
    stories = ("fox", "crow", "stone")
    for _, row in table.iterrows():
        delay = json.loads(row["setting_value"])
        own = [literal_r(lab, results, store, one, delay, stories) for one in "ABC"]
        assert row["alignment"] == pytest.approx(np.mean(own), abs=2e-3)
        assert row["se"] == pytest.approx(stats.sem(own), abs=2e-3)
        assert row["low"] < row["alignment"] < row["high"]
    assert table["alignment"].idxmax() == 1, "responses follow the sound by 2 s, two rows"
    layers = layer_table(results, sweep_of(results, "lags"), WHOLE)
    np.testing.assert_allclose(layers["alignment"], table["alignment"], atol=1e-6)


def test_shares_are_nested_and_scored_by_draw(lab, results, store):
    sweep = sweep_of(results, "shares")
    assert sweep.points == ((0.4, 0), (0.4, 1), (1.0, 0))
    table = sweep_table(results, sweep, WHOLE).set_index("setting_number")
    seen = {}
    for place, group in results.swept.items():
        if place.sweep == "shares":
            seen[place.value, place.draw] = [one["name"] for one in group.first.spec["train"]]
    names = seen["1.0", 0]
    assert set(names) == {"fox", "crow", "stone"}
    draws = []
    for draw in (0, 1):
        order = np.random.default_rng(draw).permutation(3)[:2]
        chosen = seen["0.4", draw]
        assert set(chosen) == {names[one] for one in order} < set(names)
        draws.append([literal_r(lab, results, store, who, (1, 2, 3, 4), chosen) for who in "ABC"])
    few = table.loc[0.4]
    assert few["n_draws"] == 2 and few["training_stories"] == 2
    assert few["alignment"] == pytest.approx(np.mean(draws), abs=3e-3)
    assert few["of_draws"] == pytest.approx(np.std(np.mean(draws, axis=1), ddof=1), abs=3e-3)
    own = [literal_r(lab, results, store, who, (1, 2, 3, 4), names) for who in "ABC"]
    assert table.loc[1.0, "alignment"] == pytest.approx(np.mean(own), abs=2e-3)
    best = best_of_bases(sweep_table(results, sweep, WHOLE))
    assert best["all targets"] == table["alignment"].max()


def test_shares_of_one_order_lie_in_each_other():
    names = tuple("abcdefg")
    for draw in range(5):
        inner: set[str] = set()
        for share in (0.1, 0.3, 0.31, 0.9, 1.0):
            found = share_of_stories(names, share, draw)
            assert len(found) == np.ceil(share * 7 - 1e-9) and list(found) == sorted(found)
            assert inner <= set(found)
            inner = set(found)
    assert len({share_of_stories(names, 0.3, draw) for draw in range(9)}) > 3


def test_contexts_are_features_of_their_own(results, store):
    table = sweep_table(results, sweep_of(results, "contexts"), WHOLE)
    assert list(table["setting_number"]) == [0.5]
    for place, group in results.swept.items():
        if place.sweep == "contexts":
            [story] = group.first.spec["test"]
            spec = store.get("features", story["features"]).spec
            assert spec["context_seconds"] == json.loads(place.value)
            assert spec["step_seconds"] == json.loads(place.value) / 2
            assert "chunk, 0.5 s of context" in group.first.provenance_line()
    usual = results.groups["default", "small"].first
    assert "s of context" not in usual.provenance_line()
    layers = layer_table(results, sweep_of(results, "contexts"), WHOLE)
    assert len(layers) == usual.n_layers and layers["depth"].max() == 1


def test_spaces_stand_in_the_impact_beside_the_usual_one(results):
    models, dots = impact_table(results, WHOLE)
    spaces = ["acoustic:lowlevel", "acoustic:energy"]
    assert list(models[models["model"] == "sound"]["space"]) == spaces
    assert set(dots["space"]) == set(spaces)
    for place, group in results.swept.items():
        if place.sweep == "spaces":
            [row] = models[models["space"] == json.loads(place.value)].to_dict("records")
            left = np.mean([np.nanmean(one.dataset["residual_r"]) for one in group.results])
            assert row["residual_r"] == pytest.approx(left, abs=1e-6)
            assert row["r"] == pytest.approx(models["r"].iloc[0], abs=1e-6), "the same predictions"


def test_parts_of_three_spaces_are_means_of_what_is_stored(results):
    table = partition_table(results, WHOLE).set_index("explained_by")
    [group] = [one for place, one in results.swept.items() if place.sweep == "parts"]
    joint = [np.nanmean(one.dataset["joint_r2"]) for one in group.results]
    assert len(table) == 7 and table["r2"].sum() == pytest.approx(np.mean(joint), abs=1e-5)
    alone = [one.dataset["joint_r2"] - one.dataset["without_r2"].sel(space="acoustic:energy")
             for one in group.results]  # fmt: skip
    means = [float(np.nanmean(one)) for one in alone]
    row = table.loc["acoustic:energy"]
    assert row["r2"] == pytest.approx(np.mean(means), abs=1e-6)
    reach = stats.t.ppf(0.975, 2) * stats.sem(means)
    assert row["high"] - row["r2"] == pytest.approx(reach, rel=1e-3)
    assert "sound & acoustic:energy & acoustic:pitch" in table.index, "under the study's name"


def test_every_figure_of_what_is_varied_is_drawn_with_its_numbers(results, store):
    figures = StudyFigures(results, default_choice(results), store)
    varied = ("low-level", "partition", "lags", "context", "efficiency", "settings")
    assert set(varied) <= set(figures.names)
    for name in varied:
        for item in figures.make(name):
            assert len(item.table) and "study varied" in item.source.line
            if item.figure is not None:
                assert len(item.figure.data)
    lags, layers = figures.make("lags")
    [line] = [one for one in lags.figure.data if one.mode == "lines+markers"]
    np.testing.assert_array_equal(line.y, lags.table["alignment"])
    assert list(line.x) == [1, 2] and layers.figure.data[0].type == "heatmap"
    [efficiency] = figures.make("efficiency")
    assert efficiency.figure.layout.shapes[0].y0 == efficiency.table["alignment"].max()
    [penalties] = figures.make("settings")
    assert penalties.name == "settings-penalties"
    assert list(penalties.figure.layout.xaxis.ticktext) == ["shared"]
    low, _ = figures.make("low-level")
    titles = [one.text for one in low.figure.layout.annotations]
    assert {"Without lowlevel", "Without energy"} <= set(titles)
    [parts] = figures.make("partition")
    bars = [one for one in parts.figure.data if one.name == "energy alone"]
    np.testing.assert_allclose(
        bars[0].y, parts.table.set_index("explained_by").loc[["acoustic:energy"], "r2"]
    )


def test_the_long_table_and_the_record_name_what_is_varied(results, store):
    table = results.swept_scores()
    assert set(table["sweep"]) == {"lags", "shares", "contexts", "spaces", "parts", "penalties"}
    of_lags = table[(table["sweep"] == "lags") & (table["setting_value"] == "[2]")]
    assert set(of_lags["subject"]) == {"A", "B", "C"} and set(of_lags["setting"]) == {"delays"}
    record = open_record("varied", store)
    assert not record.missing(store) and record.document()["form"] == 2
    again = StudyRecord.from_document(record.document())
    assert again.keys == record.keys
    assert any(one.told() == "encoding of sound, B, shares 0.4, draw 1" for one in record.keys)
    assert len(set(results.keys)) == len(results.keys)


def test_nothing_beside_scores_is_taken_over_into_a_sweep(lab, results):
    study = Study.load(lab.folder.parent / "study.toml")
    for wanted, request in study.requests().items():
        if wanted.sweep:
            methods = {"spaces": "residual", "parts": "banded"}
            assert request.low_level == methods.get(wanted.sweep)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('setting = "delays"', 'setting = "delay"', "Did you mean 'delays'"),
        ('models = ["small"]', 'models = ["smal"]', "Did you mean 'small'"),
        ('name = "shares"', 'name = "lags"', "2 sweeps are named 'lags'"),
        ("draws = 2", "draws = 0", "draws = 0 is not allowed"),
        ('setting = "train_share"', 'setting = "seed"', "nothing is drawn"),
        ('low_level = "banded"', 'low_leve = "banded"', r"'parts' encode has the unknown field"),
        ("values = [[1], [2]]", "values = []", "values"),
    ],
)
def test_a_bad_sweep_is_named(old, new, said):
    from pathlib import Path

    assert old in TEXT
    with pytest.raises(InputError, match=said):
        parse_study(TEXT.replace(old, new, 1), Path("study.toml"))


def test_values_out_of_range_are_refused_before_anything_is_computed(lab, tmp_path):
    path = lab.folder.parent / "bad.toml"
    text = TEXT.replace("MODEL", str(lab.model)).replace("values = [0.4, 1.0]", "values = [1.4]")
    path.write_text(text)
    with pytest.raises(InputError, match="train_share"):
        Study.load(path)
