"""One story scored within itself: blocks that are held out, with a gap, and nothing seen before."""

import numpy as np
import pytest
import soundfile
from kit.data.planted import RATE_HZ, loudness, planted_responses, wandering_sound

import braindash
from braindash.core.held_out import choose_blocks, held_out_blocks, training_rows
from braindash.encoding.within import predict_within
from braindash.errors import InputError
from braindash.io.dataset.manifest import load_manifest
from braindash.specs import EncodingSpec, WithinStory

N_ROWS, N_TARGETS, SECONDS = 118, 6, 120.0
MANIFEST = """
[dataset]
name = "one story"
audio_dir = "sounds"
[timing]
tr = 1.0
[responses]
path = "{subject}_{story}.npy"
space = "roi"
[[subjects]]
id = "S1"
[[subjects]]
id = "S2"
[splits]
test = []
scheme = "within-story"
"""


@pytest.fixture
def one_story(tmp_path):
    course = loudness(SECONDS, 3)
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds/tale.wav", wandering_sound(course, 3), RATE_HZ)
    for subject in ("S1", "S2"):
        rows = planted_responses(course, np.arange(N_ROWS), 3.0, N_TARGETS, followers=slice(0, 3))
        np.save(tmp_path / f"{subject}_tale.npy", rows)
    path = tmp_path / "m.toml"
    path.write_text(MANIFEST)
    return path


def test_blocks_cover_all_rows_and_their_surroundings_train_nothing():
    blocks = held_out_blocks(103, 5)
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(103))
    assert {block.stop - block.start for block in blocks} <= {20, 21}
    for block in blocks:
        trained = np.flatnonzero(training_rows(103, block, 10))
        held_out = np.arange(block.start, block.stop)
        assert np.abs(trained[:, None] - held_out[None, :]).min() == 11


def test_a_short_story_is_split_into_more_blocks():
    assert choose_blocks(np.ones(282, bool), 10, "tale") == 5
    assert choose_blocks(np.ones(70, bool), 10, "tale") > 5
    with pytest.raises(InputError, match=r"too short.*40 are needed"):
        choose_blocks(np.ones(60, bool), 10, "tale")


def test_predictions_are_those_of_a_ridge_that_never_saw_the_block():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((90, 3)).astype(np.float32) * [1, 5, 0.1] + 2
    weights = rng.standard_normal((3, 4))
    responses = (features @ weights + rng.standard_normal((90, 4))).astype(np.float32)
    kept = np.ones(90, bool)
    kept[[7, 50]] = False
    settings, alpha = WithinStory(n_blocks=4), 30.0
    found, alphas, _ = predict_within(
        features.astype(np.float32),
        responses[kept],
        kept,
        settings,
        {"alphas": (alpha,), "delays": (1, 2), "intercept": True, "metric": "r2"},
    )
    np.testing.assert_allclose(alphas, alpha)
    for block in held_out_blocks(90, 4):
        trained = kept & training_rows(90, block, 10)
        standard = (features - features[trained].mean(0)) / features[trained].std(0)
        late = [np.vstack([np.zeros((d, 3)), standard[:-d]]) for d in (1, 2)]
        design = np.hstack(late)
        x, y = design[trained], responses[trained].astype(float)
        y_scale = y.std(0)
        x_mean = x.mean(0)
        gram = (x - x_mean).T @ (x - x_mean) + alpha * np.eye(6)
        made = np.linalg.solve(gram, (x - x_mean).T @ ((y - y.mean(0)) / y_scale)) * y_scale
        expected = design[block] @ made
        np.testing.assert_allclose(found[block], expected - expected.mean(0), atol=2e-3)


def test_a_story_is_scored_within_itself_and_every_line_says_so(one_story, tmp_path):
    wanted = {"alphas": (1.0, 1e2), "n_permutations": 99, "n_bootstraps": 20, "threads": 1}
    store = tmp_path / "store"
    result = braindash.encode(one_story, "acoustic:energy", "S1", store=store, **wanted)
    r = result.dataset["r"].values[0]
    assert (r[:3] > 0.6).all() and (np.abs(r[3:]) < 0.35).all()
    assert (
        "within one story: 5 blocks held out in turn, 10 rows at each" in result.provenance_line()
    )
    assert result.spec["within"] == {"n_blocks": 5, "gap_rows": 10}
    assert (result.dataset["p"].values[0][:3] < 0.05).all()


def test_what_cannot_be_scored_within_a_story_says_why(one_story, tmp_path):
    with pytest.raises(InputError, match="across stories only"):
        braindash.encode(
            one_story, "acoustic:logmel", "S1", low_level="residual", store=tmp_path / "store"
        )
    short = np.load(one_story.parent / "S1_tale.npy")
    np.save(one_story.parent / "S2_tale.npy", short[:40])
    one_story.write_text(MANIFEST.replace("tr = 1.0", "tr = 1.0\ntolerance = 100.0"))
    with pytest.raises(InputError, match="too short to be scored within itself"):
        braindash.encode(one_story, "acoustic:energy", "S2", store=tmp_path / "store")


def test_a_subject_of_its_own_scheme_and_story(one_story):
    again = MANIFEST.replace('scheme = "within-story"', "").replace("test = []", 'test = ["tale"]')
    one_story.write_text(again.replace('id = "S2"', 'id = "S2"\nscheme = "within-story"'))
    dataset = load_manifest(one_story)
    assert dataset.split("S1").train == () and dataset.split("S2").train == ("tale",)
    assert dataset.split("S2").test == ("tale",)


def test_results_across_stories_keep_their_keys():
    assert EncodingSpec.implied["within"] is None
    assert EncodingSpec.model_fields["within"].default is None
