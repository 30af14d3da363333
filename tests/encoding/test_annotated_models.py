"""Spaces of annotated tiers as models: planned, stored, scored and refused like any other."""

import json
import re
import shutil

import numpy as np
import pytest
from kit.data.annotated_lab import annotate
from kit.data.textgrids import write_textgrid
from typer.testing import CliRunner

from braindash.cli import app
from braindash.core.phones import ARTICULATIONS
from braindash.core.timing import lanczos_weights
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import run_encoding
from braindash.errors import InputError
from braindash.io.labels.textgrid import read_textgrid
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.work.kinds import preflight

SPACES = {
    "phones": 39,
    "articulation": len(ARTICULATIONS),
    "diphones": 39 * 39,
    "triphones": 4096,
    "phonerate": 1,
    "wordrate": 1,
}


@pytest.fixture
def annotated(lab):
    annotate(lab)
    return lab


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def request_for(lab, space="wordrate", **changes):
    fields = {"data": lab.manifest, "model": f"acoustic:{space}", "subject": "A"}
    settings = {"alphas": (1.0, 100.0), "n_permutations": 0, "n_bootstraps": 0}
    return build_request(EncodeRequest, **(fields | settings | changes))


def grid_of(lab, story):
    return lab.folder / "grids" / f"{story}.TextGrid"


def keys_of(lab, space="wordrate"):
    return {s.name: s.extraction.key() for s in plan_encoding(request_for(lab, space)).stories}


@pytest.mark.parametrize("space", SPACES)
def test_every_space_is_scored_and_cached(space, annotated, store):
    request = request_for(annotated, space)
    result = run_encoding(request, store)
    assert result.dataset.sizes["layer"] == 1 and result.model == f"acoustic:{space}"
    plan = plan_encoding(request)
    assert {story.extraction.strategy for story in plan.stories} == {"frames"}
    for story in plan.stories:
        stored = store.get("features", story.extraction.key())
        features = stored.open()["features"]
        assert features.shape == (1, story.n_rows, SPACES[space])
        assert np.isfinite(features).all() and np.abs(features).max() > 0
    assert preflight(request, store).cached


def test_word_rate_counts_the_words_around_each_row(annotated, store):
    """Against a sum over words: each one is an impulse, spread by the resampling."""
    run_encoding(request_for(annotated), store)
    story = plan_encoding(request_for(annotated)).train[0]
    stored = store.get("features", story.extraction.key()).open()["features"].values
    words = [one for one in read_textgrid(grid_of(annotated, story.name))["word"] if one.label]
    n_steps = round(story.times[-1] * 100) + 400
    counts = np.zeros(n_steps)
    for word in words:
        step = int(word.start * 100 + 1e-9)
        if step < n_steps:
            counts[step] += 100.0
    last = int(np.ceil(read_textgrid(grid_of(annotated, story.name))["word"][-1].end * 100))
    counts = counts[:last]
    times = (np.arange(last) + 0.5) / 100
    wanted = lanczos_weights(times, story.times, story.extraction.times.tr) @ counts
    np.testing.assert_allclose(stored[0, :, 0], wanted, rtol=1e-5, atol=1e-5)


def test_key_follows_the_annotation_of_its_story_and_no_other(annotated):
    before = keys_of(annotated)
    tiers = read_textgrid(grid_of(annotated, "fox"))
    write_textgrid(grid_of(annotated, "fox"), tiers | {"word": tiers["word"][5:]}, 46.0)
    after = keys_of(annotated)
    assert {story for story in before if before[story] != after[story]} == {"fox"}
    sound = plan_encoding(request_for(annotated, "logmel")).stories
    assert {story.extraction.annotation for story in sound} == {None}


def test_tiers_are_those_that_the_manifest_names(lab, store):
    annotate(lab, tiers=("Lautung", "Ortho"))
    with pytest.raises(InputError, match="holds Lautung, Ortho") as caught:
        plan_encoding(request_for(lab))
    assert "dataset.word_tier" in caught.value.hint
    lab.edit('alignment_dir = "grids"', 'alignment_dir = "grids"\nword_tier = "Ortho"')
    (tier, *_) = {story.tier.name for story in plan_encoding(request_for(lab)).stories}
    assert tier == "Ortho"
    before = keys_of(lab)
    lab.edit('word_tier = "Ortho"', 'word_tier = "lautung"')
    assert not set(before.values()) & set(keys_of(lab).values())


def test_lab_without_annotations_is_told_what_to_give(lab):
    with pytest.raises(InputError, match="no alignment_dir") as caught:
        plan_encoding(request_for(lab))
    assert "STORY.TextGrid" in caught.value.hint


def test_story_without_annotation_is_named(annotated):
    grid_of(annotated, "stone").unlink()
    with pytest.raises(InputError, match=r"no stone\.TextGrid .* in grids"):
        plan_encoding(request_for(annotated))


@pytest.mark.parametrize(
    ("space", "label", "says"),
    [("phones", "blah", "'blah'"), ("articulation", "xyz9", "'xyz9'")],
)
def test_label_that_is_no_phone_is_named_with_its_file(space, label, says, annotated, store):
    grid = grid_of(annotated, "fox")
    grid.write_text(grid.read_text().replace('"AE1"', f'"{label}"', 1))
    with pytest.raises(InputError, match=says) as caught:
        run_encoding(request_for(annotated, space), store)
    assert "fox.TextGrid" in caught.value.message


def test_an_empty_tier_is_named(annotated):
    path = grid_of(annotated, "fox")
    path.write_text(re.sub(r'text = ".*"', 'text = ""', path.read_text()))
    with pytest.raises(InputError, match=r"fox\.TextGrid: the tier 'word' is empty"):
        plan_encoding(request_for(annotated))


def test_annotation_of_a_longer_recording_is_refused(annotated, store):
    shutil.copy(grid_of(annotated, "stone"), grid_of(annotated, "crow"))  # 50 s for 42 s
    with pytest.raises(InputError, match=r"crow\.TextGrid.*lasts 42"):
        run_encoding(request_for(annotated), store)


def test_annotated_space_can_be_the_low_level(annotated, store):
    """Articulation taken out of a spectrogram, as the papers do."""
    request = request_for(
        annotated, "logmel", low_level="residual", low_level_space="acoustic:articulation"
    )
    usual = run_encoding(request_for(annotated, "logmel"), store)
    result = run_encoding(request, store)
    assert "residual_r" in result.dataset and "residual_r" not in usual.dataset
    assert plan_encoding(request).low_level.stories[0].tier.name == "phone"


def test_command_takes_an_annotated_space(annotated, tmp_path):
    arguments = ["encode", "--data", str(annotated.manifest), "--model", "acoustic:wordrate"]
    arguments += ["--subject", "A", "--store", str(tmp_path / "store"), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--permutations", "0", "--bootstraps", "0"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "acoustic:wordrate"
