"""A study's results from its record: what is missing, long tables, features, what is shared."""

import json
from dataclasses import replace

import numpy as np
import pytest
from kit.results.made_up_study import FOLDER, MODELS, N_ROWS, SUBJECTS, made_up_layers, put_study

from braindash.core.representations.similarity import debiased_cka
from braindash.errors import InputError, StoreError
from braindash.io.store import Store
from braindash.studies.file import parse_study
from braindash.studies.record import list_records, open_record, take_record
from braindash.studies.representations import (
    dimension_table,
    drift_table,
    features_of,
    similarity_table,
    stored_features,
)
from braindash.studies.results import StudyResults

FEW = MODELS[:2]


@pytest.fixture
def record(tmp_path):
    return put_study(tmp_path, models=FEW, space="roi", features=True)


def test_long_tables_hold_every_score_under_the_studys_names(tmp_path, record):
    found = StudyResults.open(record, Store(tmp_path))
    scores = found.scores()
    assert list(scores.columns[:4]) == ["study", "preset", "model", "role"]
    assert len(scores) == 2 * 3 * 4 and set(scores["subject"]) == set(SUBJECTS[:3])
    for (_, name), group in found.groups.items():
        for one in group.results:
            rows = scores[(scores["model"] == name) & (scores["subject"] == one.subject)]
            np.testing.assert_array_equal(rows["r"], one.regions()["r"])
            assert set(rows["key"]) == {one.key}
    probes = found.probes()
    assert set(probes["model"]) == {"base", "tuned"}
    assert probes["depth"].max() == 1 and (probes["model_files"] == probes["model"]).all()


def test_what_is_missing_or_does_not_belong_together_is_named(tmp_path, record):
    store = Store(tmp_path)
    wanted, key = next(iter(record.keys.items()))
    store.set_aside("encoding", key)
    found = StudyResults.open(record, store)
    assert found.missing == (wanted,) == record.missing(store)
    assert found.groups["default", "base"].n_subjects == 2
    pairs, notes = found.pairs("default")
    assert pairs["tuned", "base"].unpaired == ("S1",) and not notes
    other = put_study(tmp_path / "other", models=FEW[:1], subjects=("S1",), space="fsaverage5")
    mixed = dict(record.keys) | dict(other.keys)
    assert mixed  # results of another space cannot join
    empty = StudyResults.open(record, Store(tmp_path / "nowhere"))
    assert len(empty.missing) == len(record.keys) and empty.scores().empty
    assert empty.probes().empty and not empty.regions("default")


def test_a_region_that_is_none_is_named_with_what_is_near(tmp_path):
    more = 'presets = ["default", "default"]\n'
    record = put_study(tmp_path, models=FEW[:1], subjects=SUBJECTS[:1])
    text = record.text.replace('"late_language"', '"late_langage", "V9"').replace("[probe]", more)
    tables = parse_study(text.replace(more, "", 1).replace("data =", f"{more}data =", 1), tmp_path)
    found = StudyResults.open(replace(record, tables=tables), Store(tmp_path))
    first, second = found.notes
    assert "'late_langage'" in first and "Did you mean 'late_language'?" in first
    assert "'V9'" in second and "`braindash regions`" in second
    assert found.presets == ("default",), "each once"


def test_a_record_comes_back_and_leaves_without_places(tmp_path, record):
    store = Store(tmp_path)
    again = open_record("made-up", store)
    assert (again.keys, again.models, again.tables) == (record.keys, record.models, record.tables)
    shared = record.shared()
    assert str(tmp_path) not in json.dumps(shared)
    assert take_record(shared, Store(tmp_path / "b")).keys == record.keys
    text = record.text.replace('model = "base"', 'model = "untrained:/home/Jane Doe/nets/a net"')
    text = (
        text.replace('model = "tuned"', "model = '/home/Jane Doe/nets/b'") + "# of /home/Jane/x\n"
    )
    cut = take_record(replace(record, text=text).shared(), Store(tmp_path / "c"))
    assert "Jane" not in cut.text
    assert [one.model for one in cut.tables.models] == ["untrained:…/a net", "…/b"]
    with pytest.raises(StoreError, match="'made-upp'") as refused:
        open_record("made-upp", store)
    assert "made-up" in refused.value.hint
    (tmp_path / FOLDER / "torn.json").write_text("{")
    found, damaged = list_records(store)
    assert [one.name for one in found] == ["made-up"] and len(damaged) == 1
    with pytest.raises(InputError, match="cannot be read"):
        take_record(shared | {"form": 99}, store)


def test_features_are_those_of_the_store_scaled_within_stories(tmp_path, record):
    store = Store(tmp_path)
    found, notes = features_of(StudyResults.open(record, store), "default", store)
    assert not notes and list(found) == ["base", "tuned"]
    half = N_ROWS // 2
    for name, own in found.items():
        assert own.n_rows == N_ROWS and own.names == (("train_a", half), ("story", half))
        for given, kept in zip(made_up_layers(name), own.layers, strict=True):
            parts = [given[:half], given[half:]]
            expected = np.concatenate([(one - one.mean(0)) / one.std(0) for one in parts])
            np.testing.assert_allclose(kept, expected, atol=1e-5)
    one = StudyResults.open(record, store).groups["default", "base"].first
    few = stored_features(one, store, most_rows=15)
    assert few.step == 3 and few.n_rows == 14, "every third row of all stories together"
    np.testing.assert_array_equal(few.layers[1], found["base"].layers[1][::3])


def test_similarity_drift_and_dimension_are_of_these_features(tmp_path, record):
    store = Store(tmp_path)
    found, _ = features_of(StudyResults.open(record, store), "default", store)
    pairs = [("tuned", "base"), ("base", "base"), ("tuned", "nobody")]
    table = similarity_table(found, pairs)
    wide = table[table["model_a"] == "tuned"].pivot(
        index="layer_a", columns="layer_b", values="cka"
    )
    expected = debiased_cka(found["tuned"].layers, found["base"].layers)
    np.testing.assert_allclose(wide.to_numpy(), expected, atol=1e-6)
    assert set(zip(table["model_a"], table["model_b"], strict=True)) == set(pairs[:2])
    drift, notes = drift_table(found, pairs[:1])
    np.testing.assert_allclose(drift["drift"], 1 - np.diag(expected), atol=1e-5)
    assert drift["distance"].is_monotonic_increasing and not notes
    own = dimension_table(found)
    assert len(own) == 8 and own["participation"].between(4, 8).all()


def test_models_whose_features_are_not_here_are_left_out(tmp_path):
    record = put_study(tmp_path, models=FEW, space="roi")
    store = Store(tmp_path)
    found, notes = features_of(StudyResults.open(record, store), "default", store)
    assert not found and all("features are not in the store" in one for one in notes)
    assert similarity_table(found, [("tuned", "base")]).empty
