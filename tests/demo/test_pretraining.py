"""The shipped model and the script that made it belong together."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from braindash.demo import AUDIO_FOLDER, MODEL_FOLDER, load_lexicon
from braindash.io.dataset.audio import load_audio

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    """Import the pretraining script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        import pretrain_demo_model

        yield pretrain_demo_model
        del sys.modules["pretrain_demo_model"]


@pytest.fixture(scope="module")
def record():
    return json.loads((MODEL_FOLDER / "training.json").read_text())


@pytest.fixture(scope="module")
def corpus(script, record):
    return script.load_corpus(AUDIO_FOLDER, record["check"]["pattern"], script.Recipe())


def train(script, corpus, n_steps):
    training = script.Pretraining(corpus, script.Recipe())
    for _ in script.run_steps(training, n_steps):
        pass
    return training


@pytest.fixture(scope="module")
def first_steps(script, corpus, record):
    return train(script, corpus, len(record["check"]["first_masked_losses"]))


def test_the_first_losses_are_those_of_the_record(first_steps, record):
    # the platform's rounding may move a few frames to another cluster
    np.testing.assert_allclose(
        first_steps.losses, record["check"]["first_masked_losses"], atol=5e-3
    )


def test_a_resumed_run_takes_the_same_steps(script, corpus, first_steps, tmp_path):
    short = train(script, corpus, 1)
    short.save(tmp_path / "state.pt")
    resumed = script.Pretraining(corpus, script.Recipe())
    resumed.load(tmp_path / "state.pt")
    for _ in script.run_steps(resumed, len(first_steps.losses)):
        pass
    np.testing.assert_allclose(resumed.losses, first_steps.losses, atol=1e-5)


def test_the_record_holds_the_recipe_of_the_script(script, record):
    recorded = script.Recipe(**record["recipe"])  # what it lacks came later and has a default
    assert recorded == script.Recipe()
    assert record["n_steps_taken"] == record["recipe"]["n_steps"]
    assert record["audio_minutes"] == pytest.approx(90)
    chance = np.log(record["recipe"]["n_clusters"])
    assert record["final_masked_loss"] < 0.8 * chance
    assert abs(record["first_masked_losses"][0] - chance) < 0.5


def test_the_shipped_model_is_the_scripts_model_trained(script, record):
    from transformers import HubertModel

    shipped, info = HubertModel.from_pretrained(MODEL_FOLDER, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    new = script.build_model(script.Recipe())
    assert sum(p.numel() for p in shipped.parameters()) == record["n_parameters"]
    gabor = "feature_extractor.conv_layers.0.conv.weight"  # frozen all along
    # Sines and exponentials may differ in the last bits from processor to processor.
    np.testing.assert_allclose(shipped.state_dict()[gabor], new.state_dict()[gabor], atol=1e-6)
    projection = "feature_projection.projection.weight"
    assert not np.allclose(shipped.state_dict()[projection], new.state_dict()[projection])
    assert shipped.config.apply_spec_augment is False
    preprocessor = json.loads((MODEL_FOLDER / "preprocessor_config.json").read_text())
    assert (preprocessor["do_normalize"], preprocessor["sampling_rate"]) == (True, 16_000)


def test_labels_and_model_frames_are_in_step(script):
    """A click moves the MFCC frame whose centre it hits, the centre of the model's own frame."""
    wave = 1e-3 * np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    frame = 20
    centre = frame * script.HOP + script.RECEPTIVE_FIELD // 2
    wave[centre] = 1.0
    energy = script.mfcc(wave)[:, 0]
    assert energy.argmax() == frame
    model = script.build_model(script.Recipe()).eval()
    torch = script.torch
    with torch.no_grad():
        states = model.feature_extractor(torch.from_numpy(wave)[None])[0]
        wave[centre] = 0.5
        moved = (model.feature_extractor(torch.from_numpy(wave)[None])[0] - states).abs()
    assert states.shape[1] == (16_000 - script.RECEPTIVE_FIELD) // script.HOP + 1
    touched = moved.mean(dim=0)
    assert abs(int(touched.argmax()) - frame) <= 1


def test_a_shipped_story_is_what_the_script_tells():
    """Needs espeak-ng, which is for development only."""
    pytest.importorskip("espeakng_loader")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        import make_demo_corpus as maker
    name, voice, seconds, seed = next(s for s in maker.all_stories() if s[0] == "demo_probe_01")
    rng = np.random.default_rng(seed)
    speaker = maker.draw_speaker(rng, voice)
    story = maker.tell_story(maker.Synthesiser(), rng, speaker, seconds, load_lexicon())
    shipped = load_audio(AUDIO_FOLDER / f"{name}.opus")
    assert len(shipped) == len(story.samples)
    assert np.corrcoef(shipped, story.samples)[0, 1] > 0.98
