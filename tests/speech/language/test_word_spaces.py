"""Spaces of the words that are said: found, aligned, scored like any space; by another route."""

import json
import shutil

import numpy as np
import pytest
import torch
from kit.data.annotated_lab import annotate
from kit.data.toy_lab import Lab, make_lab

from braindash.core.timing import lanczos_weights
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import run_encoding
from braindash.errors import BraindashError, InputError, ModelError
from braindash.io.labels.textgrid import Interval, read_textgrid
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.speech.acoustic.annotated import word_shares
from braindash.speech.checkpoints.locate import absolute_source, locate
from braindash.speech.language.spaces import CONTEXT_WORDS
from braindash.speech.models import open_model
from braindash.speech.text import word_layers

WORDS = ("the", "fox", "cat", "sat", "on", "mat", "crow", "stone")
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A tiny BERT and a tiny GPT-2 with a tokenizer of whole words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import (
        BertConfig,
        BertModel,
        GPT2Config,
        GPT2Model,
        PreTrainedTokenizerFast,
    )

    root = tmp_path_factory.mktemp("texts")
    signs = {name: place for place, name in enumerate(("[PAD]", "[UNK]", *WORDS))}
    tokenizer = Tokenizer(WordLevel(signs, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[UNK]"
    )
    sizes = {"vocab_size": len(signs)}
    torch.manual_seed(0)
    bert = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=8, max_position_embeddings=40, **sizes)  # fmt: skip
    gpt = GPT2Config(n_embd=8, n_layer=3, n_head=2, n_positions=40, **sizes)
    for name, model in (("bert", BertModel(bert)), ("gpt", GPT2Model(gpt))):
        model.save_pretrained(root / name)
        fast.save_pretrained(root / name)
    return root


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    place = tmp_path_factory.mktemp("vectors")
    np.savez(place / "small.npz", words=np.array(WORDS), vectors=VECTORS)
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, VECTORS, strict=True)]
    (place / "glove.5d.txt").write_text("\n".join(lines) + "\n")
    (place / "w2v.txt").write_text("\n".join([f"{len(WORDS)} 5", *lines]) + "\n")
    return place


@pytest.fixture
def lab(tmp_path, quick_model) -> Lab:
    made = make_lab(tmp_path / "lab", quick_model)
    annotate(made)
    return made


def request_for(lab, model, **changes):
    fields = {"data": lab.manifest, "model": str(model), "subject": "A", "alphas": (1.0, 100.0)}
    return build_request(EncodeRequest, **fields, n_permutations=0, n_bootstraps=0, **changes)


# ---- finding them -------------------------------------------------------------------------------


def test_files_of_vectors_say_how_long_they_are(vectors):
    names = {}
    for name in ("small.npz", "glove.5d.txt", "w2v.txt"):
        found = locate(f"words:{vectors / name}")
        assert (found.n_layers, found.n_features, found.family) == (1, 5, "words")
        assert not found.is_speech and found.padded_samples is None
        names[found.fingerprint] = found.name
    assert list(names.values()) == ["words:small", "words:glove.5d", "words:w2v"]
    assert absolute_source(f"words:{vectors / 'w2v.txt'}", found) == f"words:{vectors / 'w2v.txt'}"


def test_models_of_text_say_how_deep_they_are(texts, tmp_path):
    bert, gpt = (locate(f"text:{texts / name}") for name in ("bert", "gpt"))
    assert (bert.n_layers, bert.n_features, bert.name) == (3, 8, "text:bert")
    assert (gpt.n_layers, gpt.n_features) == (4, 8) and gpt.fingerprint != bert.fingerprint
    copy = shutil.copytree(texts / "bert", tmp_path / "other")
    assert locate(f"text:{copy}").fingerprint == bert.fingerprint, "the name plays no part"
    (copy / "README.md").write_text("read me")
    assert locate(f"text:{copy}").fingerprint == bert.fingerprint
    settings = json.loads((copy / "tokenizer.json").read_text())
    settings["version"] = "1.1"
    (copy / "tokenizer.json").write_text(json.dumps(settings))
    assert locate(f"text:{copy}").fingerprint != bert.fingerprint, "another tokenizer"


def test_what_is_no_space_is_said(vectors, texts, tmp_path):
    for source, said in (
        (f"words:{tmp_path / 'none.txt'}", "no file of word vectors"),
        (f"text:{tmp_path}", "holds no model of text"),
        (f"untrained:text:{texts / 'bert'}", "names no model that could be trained"),
    ):
        with pytest.raises(BraindashError, match=said) as refused:
            locate(source)
        assert refused.value.hint
    with pytest.raises(InputError, match="revision"):
        locate(f"words:{vectors / 'w2v.txt'}", "main")
    (tmp_path / "torn.npz").write_bytes(b"PK")
    (tmp_path / "prose.txt").write_text("prose\n")
    for name in ("torn.npz", "prose.txt"):
        with pytest.raises(ModelError):
            locate(f"words:{tmp_path / name}")
    folder = shutil.copytree(texts / "bert", tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        locate(f"text:{folder}")
    (folder / "config.json").write_text('{"is_encoder_decoder": true}')
    with pytest.raises(ModelError, match="writes another"):
        locate(f"text:{folder}")
    with pytest.raises(InputError, match="made of words"):
        open_model(f"words:{vectors / 'w2v.txt'}")


# ---- aligned to words ---------------------------------------------------------------------------


def test_a_word_fills_the_steps_in_which_it_is_said():
    tier = [Interval(0.3, 0.4, "fox"), Interval(0.0, 0.1, "the"), Interval(0.1, 0.3, "<sil>")]
    tier += [Interval(0.4, 0.45, "the")]
    found = word_shares(tier, 0.5)
    assert found.names == ("the", "fox", "the"), "in the order of time, one column each"
    np.testing.assert_allclose(np.asarray(found.values.sum(axis=0)) * 0.01, [0.1, 0.1, 0.05])
    assert found.values.toarray()[10:30].sum() == 0


@pytest.mark.parametrize("name", ["bert", "gpt"])
def test_every_word_is_read_with_those_before_it_and_none_after(name, texts):
    from transformers import AutoModel, AutoTokenizer

    rng = np.random.default_rng(1)
    words = list(rng.choice(WORDS, 40))
    found = word_layers(texts / name, words, device="cpu")
    model = AutoModel.from_pretrained(texts / name).eval()
    tokenizer = AutoTokenizer.from_pretrained(texts / name)
    assert found.shape == (model.config.num_hidden_layers + 1, 40, 8)
    for place in (0, 3, 31, 33, 39):
        before = words[max(0, place - CONTEXT_WORDS) : place + 1]
        tokens = tokenizer(" ".join(before), return_tensors="pt")
        with torch.no_grad():
            states = model(**tokens, output_hidden_states=True).hidden_states
        wanted = np.stack([one[0, -1].numpy() for one in states])
        np.testing.assert_allclose(found[:, place], wanted, atol=1e-5)
    later = word_layers(texts / name, [*words[:20], *reversed(words[20:])], device="cpu")
    np.testing.assert_allclose(later[:, :20], found[:, :20], atol=1e-5)
    assert word_layers(texts / name, [], device="cpu").shape == (len(found), 0, 8)


def test_vectors_are_scored_like_any_space(lab, vectors, tmp_path):
    """Features against a sum over words: share of each step, brought to rows by Lanczos."""
    store = Store(tmp_path / "store")
    request = request_for(lab, f"words:{vectors / 'small.npz'}")
    result = run_encoding(request, store)
    assert result.n_layers == 1 and result.model == "words:small"
    story = plan_encoding(request).train[0]
    stored = store.get("features", story.extraction.key()).read("features", 0)
    words = read_textgrid(lab.folder / "grids" / f"{story.name}.TextGrid")["word"]
    steps = np.zeros((int(np.ceil(words[-1].end * 100)) + 200, 5))
    for word in (one for one in words if one.label):
        for step in range(int(word.start * 100), int(np.ceil(word.end * 100))):
            share = min(word.end, (step + 1) / 100) - max(word.start, step / 100)
            steps[step] += 100 * share * VECTORS[WORDS.index(word.label)]
    n_steps = round({"fox": 46, "crow": 42, "stone": 50}[story.name] * 100)
    times = (np.arange(n_steps) + 0.5) / 100
    weights = lanczos_weights(times, story.times, story.extraction.times.tr)
    np.testing.assert_allclose(stored, weights @ steps[:n_steps], rtol=1e-3, atol=1e-4)
    assert plan_encoding(request).spec.key() == result.key


def test_layers_of_a_model_of_text_are_layers(lab, texts, tmp_path):
    store = Store(tmp_path / "store")
    request = request_for(lab, f"text:{texts / 'gpt'}")
    result = run_encoding(request, store)
    assert result.n_layers == 4 and np.isfinite(result.r[:, :10]).all()
    story = plan_encoding(request).test[0]
    stored = store.get("features", story.extraction.key())
    words = read_textgrid(lab.folder / "grids" / "well.TextGrid")["word"]
    said = [one for one in words if one.label]
    shares = word_shares(words, 44.0).at(story.times, story.extraction.times.tr)[0]
    layers = word_layers(texts / "gpt", [one.label for one in said], device="cpu")
    for layer in (0, 3):
        np.testing.assert_allclose(
            stored.read("features", layer), shares @ layers[layer], rtol=1e-3, atol=1e-4
        )


def test_what_a_space_of_words_cannot_do_is_refused(lab, vectors, tmp_path):
    model = f"words:{vectors / 'small.npz'}"
    with pytest.raises(InputError, match="predict no sound"):
        plan_encoding(request_for(lab, model, keep_weights=0))
    other = make_lab(tmp_path / "other", lab.model)
    with pytest.raises(InputError, match="no alignment_dir"):
        plan_encoding(request_for(other, model))
    np.savez(tmp_path / "foreign.npz", words=np.array(["zebra"]), vectors=VECTORS[:1])
    with pytest.raises(InputError, match="none of the words"):
        run_encoding(request_for(lab, f"words:{tmp_path / 'foreign.npz'}"), Store(tmp_path / "s"))
