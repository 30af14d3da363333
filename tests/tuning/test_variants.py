"""Other heads, other budgets, and controls that learn from something else than the brain."""

import numpy as np
import pytest
from kit.data.textgrids import write_textgrid
from kit.data.toy_lab import make_lab
from kit.models.tiny_models import save_kind
from kit.models.tuning_runs import data_for, request_for
from safetensors.numpy import load_file
from sklearn.preprocessing import StandardScaler

from braindash.errors import InputError, ModelError, TuningError
from braindash.io.dataset.audio import load_audio
from braindash.io.labels.textgrid import Interval
from braindash.io.store import Store
from braindash.progress import NoProgress
from braindash.specs import TUNING_CONTROLS
from braindash.speech.checkpoints.locate import locate
from braindash.tuning.card import _CONTROLS
from braindash.tuning.data import load_tuning_data
from braindash.tuning.plan import plan_tuning
from braindash.tuning.run import run_tuning
from braindash.views.captions import tuning_line


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


# ---- adapters, heads and budgets ----------------------------------------------------------------


def test_the_strength_of_every_block_is_told(lab, store, tmp_path):
    result = run_tuning(request_for(lab, method="lora", epochs=1), store)
    stored = load_file(result.folder / "adapter_model.safetensors")
    wanted = {}
    for block in ("0", "1"):
        parts = [t for n, t in stored.items() if f".layers.{block}." in n and "lora_B" in n]
        wanted[str(int(block) + 1)] = np.sqrt(
            sum(float((t.astype(float) ** 2).sum()) for t in parts)
        )
    assert result.record["lora_b"] == pytest.approx(wanted, rel=1e-4)
    assert all(norm > 0 for norm in wanted.values())
    told = f"|lora_B| by block: 1: {wanted['1']:.3g}, 2: {wanted['2']:.3g}"
    assert told in tuning_line(result.record)
    card = (result.folder / "README.md").read_text().replace("\\", "")
    assert told in card and "nothing learned in the blocks" not in card
    assert result.record["steps"]["kept"] == result.record["steps"]["trained"] > 0
    assert f"; {result.record['steps']['kept']} steps" in result.line()


def test_adapters_that_learned_nothing_are_named(lab, store):
    with pytest.raises(TuningError, match=r"\|lora_B\| by block: 1: .*, 2: ") as caught:
        run_tuning(request_for(lab, method="lora", encoder_rate=1e-30), store)
    assert "nothing was learned" in caught.value.message


def test_a_shared_head_has_what_any_subject_would_have(lab, store):
    asked = {"subjects": ("A", "B"), "threshold": 0.2}
    own, shared = data_for(lab, **asked).masks, data_for(lab, head="shared", **asked).masks
    np.testing.assert_array_equal(shared["A"], own["A"] | own["B"])
    np.testing.assert_array_equal(shared["A"], shared["B"])
    few = data_for(lab, head="shared", limit=2, **asked).masks["B"]
    assert few.sum() == 2 and (few & shared["A"]).sum() == 2
    result = run_tuning(request_for(lab, head="shared", epochs=1, **asked), store)
    assert "one linear head for all subjects" in (result.folder / "README.md").read_text()
    assert result.record["spec"]["settings"]["head"] == "shared"


def test_a_shared_head_is_refused_where_every_subject_has_its_own_space(lab):
    lab.edit('space = "roi"', 'space = "native-volume"')
    with pytest.raises(InputError, match="same targets of all subjects, but native-volume"):
        plan_tuning(request_for(lab, subjects=("A", "B"), head="shared", targets="all"))


# ---- what stands in for responses ---------------------------------------------------------------

SPOKEN = ("fox", "crow", "ox", "fox")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, tiny_model):
    """A lab whose stories have words, one in two seconds."""
    lab = make_lab(tmp_path_factory.mktemp("spoken") / "lab", tiny_model)
    lab.edit('audio_dir = "audio"', 'audio_dir = "audio"\nalignment_dir = "grids"')
    (lab.folder / "grids").mkdir()
    for story, seconds in {"fox": 46, "crow": 42, "stone": 50}.items():
        words = [Interval(2.0 * n, 2.0 * n + 1, SPOKEN[n % 4]) for n in range(12)]
        place = lab.folder / "grids" / f"{story}.TextGrid"
        write_textgrid(place, {"words": words}, seconds=seconds)
    return lab


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    """A tiny BERT with random weights whose tokenizer cuts a word in two."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("texts")
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "fox", "cr", "##ow", "ox"]
    (folder / "vocab.txt").write_text("\n".join(known))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=8, intermediate_size=8, max_position_embeddings=20, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("layer", [None, 0, 1])
def test_words_are_read_with_those_before_them_and_none_after(text_model, layer):
    import torch
    from transformers import AutoModel, AutoTokenizer

    from braindash.speech.text import embed_words

    words = ["crow", "fox", "dog", "crow", *["ox", "fox"] * 12]
    found = embed_words(text_model, words, layer=layer, device="cpu")
    model = AutoModel.from_pretrained(text_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(text_model)
    pieces = [tokenizer.encode(word, add_special_tokens=False) for word in words]
    for at, row in enumerate(found):
        read = [one for word in pieces[: at + 1] for one in word][-18:]  # all that has a position
        ids = torch.tensor([[2, *read, 3]])
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states
        own = states[-1 if layer is None else layer][0, -1 - len(pieces[at]) : -1]
        np.testing.assert_allclose(row, own.mean(dim=0).numpy(), atol=1e-5)
    with pytest.raises(ModelError, match="no layer 3"):
        embed_words(text_model, words[:2], layer=3, device="cpu")


def test_a_layer_of_a_text_model_is_foretold(spoken, text_model, store):
    from braindash.speech.text import embed_words

    asked = {"control": "language-model", "words": text_model, "teacher_layer": 1}
    plan = plan_tuning(request_for(spoken, **asked))
    story = load_tuning_data(plan, NoProgress()).train[0]
    vectors = embed_words(text_model, [SPOKEN[n % 4] for n in range(12)], layer=1, device="cpu")
    middles, window = 2.0 * np.arange(12) + 0.5, 3.0
    rows = [
        vectors[(middles > t - window) & (middles <= t)].sum(axis=0)
        / max(1, ((middles > t - window) & (middles <= t)).sum())
        for t in story.times
    ]
    wanted = StandardScaler().fit_transform(np.array(rows, dtype=float))
    np.testing.assert_allclose(story.responses["text"], wanted, atol=1e-3)
    result = run_tuning(request_for(spoken, **asked), store)
    assert result.record["targets"]["text"]["n_targets"] == 8
    assert result.record["spec"]["teacher_layer"] == 1
    other = plan_tuning(request_for(spoken, **asked | {"teacher_layer": 2})).spec
    assert other.key() != plan.spec.key()
    assert "control-language-model" in result.folder.name


def test_a_layer_of_another_speech_model_is_foretold(lab, store, tmp_path):
    from braindash.speech.features import plan_windows, window_features
    from braindash.speech.models import open_model
    from braindash.speech.unit_features import frame_middles

    larger = save_kind("wavlm-group", tmp_path / "larger")
    asked = {"control": "speech-model", "teacher": str(larger), "teacher_layer": 1}
    plan = plan_tuning(request_for(lab, **asked))
    data = load_tuning_data(plan, NoProgress())
    story = data.train[0]
    model = open_model(larger, device="cpu")
    audio = load_audio(plan.subjects[0].train[0].audio)
    windows = plan_windows(model, len(audio), "chunk")
    frames = np.concatenate([f[:, 1] for _, f in window_features(model, audio, windows)])
    times = np.concatenate([frame_middles(model, one) for one in windows])
    rows = np.stack(
        [frames[(times >= t - 3) & (times < t)].astype(float).mean(axis=0) for t in story.times]
    )
    wanted = StandardScaler().fit_transform(rows)
    np.testing.assert_allclose(story.responses["speech-model"], wanted, atol=0.01)
    assert not data.masks and plan.spec.teacher == locate(larger).fingerprint
    result = run_tuning(request_for(lab, **asked), store)
    history = result.record["history"]
    assert history[1]["validation_r"]["speech-model"] > 0.2 and plan.spec.teacher_layer == 1
    last = plan_tuning(request_for(lab, control="speech-model", teacher=str(larger)))
    assert last.spec.teacher_layer == 2


@pytest.mark.parametrize("control", ["stimulus", "joint"])
def test_hidden_frames_of_the_sound_are_foretold(lab, store, control):
    result = run_tuning(request_for(lab, control=control, epochs=4, head_rate=1e-2), store)
    record = result.record
    subject = "stimulus" if control == "stimulus" else "A"
    assert [set(one["validation_r"]) for one in record["history"]] == [{subject}] * 5
    assert record["history"][4]["loss"] < record["history"][1]["loss"]
    assert f"control-{control}" in result.folder.name
    assert f"CONTROL ({control}" in (result.folder / "README.md").read_text()
    assert record["targets"][subject]["n_targets"] > 0
    assert locate(result.folder).fingerprint != locate(lab.model).fingerprint
    # Responses name the model where they are learnt, and only there.
    story = record["spec"]["train"][0]
    assert (story["responses"] == story["audio"]) == (control == "stimulus")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"control": "speech-model"}, "belong together"),
        ({"teacher": "x"}, "belong together"),
        ({"control": "language-model"}, "belong together"),
        ({"control": "shuffled", "teacher_layer": 2}, "control 'shuffled' has none"),
        ({"control": "speech-model", "teacher": "acoustic:mfcc"}, "acoustic feature space"),
    ],
)
def test_what_does_not_belong_to_a_control_is_refused(lab, fields, says):
    with pytest.raises(InputError, match=says):
        plan_tuning(request_for(lab, **fields))


def test_layers_that_are_not_there_and_files_that_are_no_models_are_refused(
    spoken, text_model, tmp_path
):
    asked = {"control": "language-model", "words": text_model, "teacher_layer": 3}
    with pytest.raises(InputError, match="has no layer 3"):
        plan_tuning(request_for(spoken, **asked))
    with pytest.raises(InputError, match="has no layer 9"):
        plan_tuning(
            request_for(spoken, control="speech-model", teacher=str(spoken.model), teacher_layer=9)
        )
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no text model"):
        plan_tuning(request_for(spoken, control="language-model", words=empty))
    file = tmp_path / "vectors.txt"
    file.write_text("fox 1 2\n")
    with pytest.raises(InputError, match="needs a text model"):
        plan_tuning(request_for(spoken, control="language-model", words=file))
    whisper = save_kind("whisper", tmp_path / "whisper")
    with pytest.raises(InputError, match="hides frames behind the convolutional front end"):
        plan_tuning(request_for(spoken, model=str(whisper), control="stimulus"))


def test_every_control_is_told_in_cards():
    assert set(_CONTROLS) == set(TUNING_CONTROLS) - {"none"}
