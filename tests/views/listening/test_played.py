"""A result's story, opened to be played: numbers are those of the stored predictions."""

import numpy as np
import pytest
from kit.results.made_up_story import CENSORED, N_ROWS, SCORED_FROM, put_story

from braindash.encoding.listening.heard import heard_stories
from braindash.io.predictions import RowReader
from braindash.io.store import Store
from braindash.views.listening.played import (
    BEST,
    Played,
    can_stand_beside,
    chosen_layers,
    layers_line,
    region_rows,
    target_row,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("played")
    store = Store(root / "store")
    made = put_story(store, root / "data", resampled=False)
    path = store.get("predictions", made.result.key).result_file
    (story,) = heard_stories(made.result, store)
    return made, Played(made.result, RowReader(path), story, layer=2)


def test_rows_that_were_not_scored_are_missing_not_zero(stored):
    made, played = stored
    assert played.reader.shape == (4, N_ROWS, 20484)
    for layer in (None, 2):
        values = played.read(layer)(slice(0, N_ROWS))
        unscored = [*range(SCORED_FROM), *CENSORED]
        assert np.isnan(values[unscored]).all() and np.isnan(values[:, :25]).all()
        wanted = made.response if layer is None else made.predictions[layer]
        rest = [row for row in range(N_ROWS) if row not in unscored]
        np.testing.assert_allclose(values[rest, 25:], wanted[rest, 25:], atol=2e-4)
    part = played.read(2)(slice(10, 14))
    np.testing.assert_array_equal(part, played.read(2)(slice(0, N_ROWS))[10:14])


def test_a_target_has_the_course_that_the_map_has(stored):
    _, played = stored
    course = target_row([played], 9000)
    np.testing.assert_array_equal(course.measured, played.read(None)(slice(0, N_ROWS))[:, 9000])
    np.testing.assert_array_equal(course.predicted[0], played.read(2)(slice(0, N_ROWS))[:, 9000])
    known = np.isfinite(course.measured)
    r = np.corrcoef(course.measured[known], course.predicted[0][known])[0, 1]
    assert course.running[0, -1] == pytest.approx(r, abs=1e-5)
    assert course.title.startswith("left vertex 9000")
    without = target_row([played], 3)
    assert np.isnan(without.measured).all() and without.notes == ["this target has no score"]


def test_regions_say_how_many_targets_and_their_mean_r(stored):
    _, played = stored
    rows = region_rows([played, played])
    assert rows[0].title == "All targets" and rows[0].predicted.shape == (2, N_ROWS)
    language = next(one for one in rows if one.title == "Late language")
    mask = played.result.masks["late_language"] & played.result.valid
    values = played.read(None)(slice(0, N_ROWS))[:, mask]
    np.testing.assert_allclose(
        language.measured[SCORED_FROM], values[SCORED_FROM].mean(), rtol=1e-5
    )
    mean = np.nanmean(played.result.r[2, mask])
    assert f"mean of {mask.sum()} targets" in language.notes[0]
    assert f"{mean:.2f} and {mean:.2f}" in language.notes[0]


def test_the_layer_is_a_choice_that_is_said(stored):
    made, _ = stored
    result = made.result
    mask = result.masks["late_language"]
    best = int(np.nanargmax(np.nanmean(result.r[:, mask], axis=1)))
    assert chosen_layers([result, result], BEST, "late_language") == [best, best]
    assert chosen_layers([result], "99", "late_language") == [result.n_layers - 1]
    line = layers_line([result], [best], BEST, "late_language")
    assert f"layer {best}, best in Late language" in line and "a little better than it is" in line
    assert "same relative depth" in layers_line([result, result], [1, 1], "1", "late_language")


def test_models_scored_on_other_rows_do_not_stand_side_by_side(stored):
    from dataclasses import replace

    _, played = stored
    assert can_stand_beside(played, played) == ""
    other = replace(played, story=replace(played.story, first_row=3))
    assert "same rows" in can_stand_beside(played, other)
