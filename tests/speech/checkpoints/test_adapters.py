"""Low-rank adapters as peft saves them: opened as the merged model, or refused."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.machines.watched import little_memory
from kit.models.model_folders import answer, edit_json, edit_weights
from kit.models.tiny_models import KINDS, N_BLOCKS, build, extractor_of
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from braindash.errors import InputError, ModelError
from braindash.speech.checkpoints import merging
from braindash.speech.checkpoints.locate import locate
from braindash.speech.checkpoints.merging import lora_strengths, read_adapter
from braindash.speech.checkpoints.places import ADAPTER_FILES
from braindash.speech.models import open_model

CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ADAPTER_FILES[0]
TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]
FEED_FORWARD = ["intermediate_dense", "output_dense"]
SETTINGS = {"r": 3, "lora_alpha": 8, "lora_dropout": 0.1}
# One kind of each family, and what the encoder is called in a model with a head.
FAMILY_OF = {
    "wav2vec2-stable": "wav2vec2",
    "hubert-group": "hubert",
    "wavlm-group": "wavlm",
    "data2vec": "data2vec_audio",
    "whisper": "model.encoder",
}


def save_pair(kind, parent, head="Model", targets=None, **settings):
    """Write a base, and an adapter trained on it; give both folders and the encoder merged."""
    base, adapter = parent / "base", parent / "adapter"
    model = build(kind, head)
    model.save_pretrained(base)
    extractor_of(kind).save_pretrained(base)
    chosen = targets or (FEED_FORWARD if kind.startswith("wavlm") else TARGETS)
    wrapped = get_peft_model(model, LoraConfig(**SETTINGS | {"target_modules": chosen} | settings))
    wrapped.peft_config["default"].base_model_name_or_path = str(base)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:  # zero until it is trained
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    wrapped.save_pretrained(adapter)
    return base, adapter, wrapped.merge_and_unload()


@pytest.fixture
def pair(tmp_path):
    """An adapter that a test may damage, and its base."""
    base, adapter, _ = save_pair("hubert-group", tmp_path)
    return base, adapter


# --- every family ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAMILY_OF)
@pytest.mark.parametrize("headed", [False, True])
def test_adapter_folder_opens_as_the_merged_model(kind, headed, tmp_path):
    head = {True: "ForCTC", False: "Model"}[headed]
    if kind == "whisper":
        head = {True: "ForConditionalGeneration", False: "Model"}[headed]
    base, adapter, merged = save_pair(kind, tmp_path, head)
    place = FAMILY_OF[kind] if headed else ("encoder" if kind == "whisper" else "")
    encoder = merged.get_submodule(place)
    model = open_model(adapter, device="cpu")
    np.testing.assert_allclose(answer(model.module), answer(encoder), atol=1e-5)
    assert np.abs(answer(model.module) - answer(base)).max() > 0.01
    assert (model.name, model.family) == ("adapter", KINDS[kind].family)
    assert (model.n_layers, model.normalise) == (N_BLOCKS + 1, KINDS[kind].normalise)
    assert not [name for name, _ in model.module.named_parameters() if "lora" in name]
    assert model.encoder.own_loop


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"use_dora": True},
        {"target_modules": ["intermediate_dense"], "rank_pattern": {"intermediate_dense": 5}},
        {"target_modules": r".*layers\.1\.attention\.[qv]_proj"},
        {"rank_pattern": {r"layers\.[01]\..*_proj": 5}, "alpha_pattern": {"q_proj|k_proj": 32}},
        {"bias": "lora_only"},
        {"modules_to_save": ["layer_norm"]},
    ],
)
def test_variants_of_low_rank_adapters_are_merged_as_peft_does(settings, tmp_path):
    _, adapter, merged = save_pair("hubert-stable", tmp_path, "ForCTC", **settings)
    np.testing.assert_allclose(answer(adapter), answer(merged.hubert), atol=1e-5)


def test_adapter_of_a_classifier_leaves_its_head_out(tmp_path, caplog):
    """Its trained head (modules_to_save) is none of the encoder's business."""
    _, adapter, merged = save_pair(
        "wav2vec2-group", tmp_path, "ForSequenceClassification", modules_to_save=["classifier"]
    )
    with caplog.at_level(logging.INFO, logger="braindash"):
        found = answer(adapter)
    np.testing.assert_allclose(found, answer(merged.wav2vec2), atol=1e-5)
    assert "classifier" in caplog.text


# Patterns that Python's own `re` would match for years.
ENDLESS = (r"(.*a.*a.*a.*a.*)*x", r"((q|q)+_?)+!", "(" * 20 + ".*" + ")*" * 20 + "!")


@pytest.mark.parametrize("pattern", ENDLESS)
@pytest.mark.parametrize("field", ["target_modules", "exclude_modules", "rank_pattern"])
def test_a_pattern_that_never_ends_is_matched_with_an_end(pair, field, pattern, monkeypatch):
    """The weights say what is adapted; where a pattern is needed it may be refused, in no time."""
    base, adapter = pair
    value = {pattern: 4} if field == "rank_pattern" else pattern
    edit_json(adapter / CONFIG, **{field: value})
    monkeypatch.setattr(merging, "_PATTERN_SECONDS", 0.05)
    try:
        found = answer(adapter)
    except ModelError as error:
        refused = error.message
    else:
        refused = ""
        assert np.abs(found - answer(base)).max() > 0.01
    assert not refused or (field == "rank_pattern" and "cannot be matched" in refused)


@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_pattern_of_layers_that_never_ends_is_not_matched(pair, pattern):
    """Every layer that the weights have is named one by one in its place."""
    base, adapter = pair
    for patterns in (pattern, [pattern]):
        edit_json(adapter / CONFIG, layers_to_transform=[0, 1], layers_pattern=patterns)
        assert np.abs(answer(adapter) - answer(base)).max() > 0.01


@pytest.mark.parametrize("settings", [{"r": 10**9}, {"rank_pattern": {".*_proj": 10**12}}])
def test_a_rank_that_the_weights_do_not_have_takes_no_memory(pair, settings):
    edit_json(pair[1] / CONFIG, **settings)
    with little_memory(), pytest.raises(ModelError, match="says the rank 1e"):
        open_model(pair[1], device="cpu")


@pytest.mark.parametrize("steps", ["1000000", "9" * 5000])
def test_endless_steps_before_an_adapter_is_read_are_refused(pair, steps):
    edit_json(pair[1] / CONFIG, init_lora_weights=f"pissa_niter_{steps}")
    with pytest.raises(ModelError, match="steps of PiSSA"):
        open_model(pair[1], device="cpu")


@pytest.mark.parametrize("number", ["1e400", "-1e999", "9" * 400, "NaN"])
def test_settings_that_are_no_numbers_are_refused(pair, number):
    path = pair[1] / CONFIG
    edit_json(path, lora_alpha="here")
    path.write_text(path.read_text().replace('"here"', number))
    with pytest.raises(ModelError, match="cannot be read"):
        open_model(pair[1], device="cpu")


@pytest.mark.parametrize("pattern", ["([", "*"])
def test_a_pattern_that_is_none_is_refused(pair, pattern):
    edit_json(pair[1] / CONFIG, alpha_pattern={pattern: 4})
    with pytest.raises(ModelError, match="alpha_pattern cannot be matched"):
        open_model(pair[1], device="cpu")


def test_an_adapter_beside_the_weights_is_refused(pair):
    edit_json(pair[1] / CONFIG, alora_invocation_tokens=[1])
    with pytest.raises(ModelError, match="acts beside the weights"):
        open_model(pair[1], device="cpu")


# --- WavLM -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("targets", "deaf"), [(TARGETS, True), (FEED_FORWARD, False)])
def test_wavlms_attention_hears_no_adapter_until_it_is_merged(targets, deaf, tmp_path, caplog):
    """It reads the weights past the adapted layer: no gradient, no effect, and then a change."""
    model = build("wavlm-group")
    wave = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4000))).float()
    plain = model(wave).last_hidden_state
    wrapped = get_peft_model(model, LoraConfig(**SETTINGS | {"target_modules": targets}))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.3)
    adapted = wrapped.eval()(wave).last_hidden_state
    assert torch.allclose(adapted, plain, atol=1e-5) == deaf
    # No gradient reaches the only weights that are trained.
    assert adapted.requires_grad != deaf
    _, adapter, _ = save_pair("wavlm-group", tmp_path, targets=targets)
    with caplog.at_level(logging.WARNING, logger="braindash"):
        open_model(adapter, device="cpu")
    assert ("had no effect" in caplog.text) == deaf
    assert not deaf or all(name in caplog.text for name in TARGETS)


# --- where the base is -------------------------------------------------------------------------


def test_base_may_be_named_from_the_adapter_or_move_with_it(pair, tmp_path):
    _, adapter = pair
    wanted, fingerprint = answer(adapter), locate(adapter).fingerprint
    for named in ("../base", "base", "/gone/long/ago/base"):
        edit_json(adapter / CONFIG, base_model_name_or_path=named)
        assert locate(adapter).fingerprint == fingerprint
        np.testing.assert_array_equal(answer(adapter), wanted)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for folder in pair:
        shutil.move(folder, moved)
    assert locate(moved / "adapter").fingerprint == fingerprint
    assert locate(moved / "adapter").base.folder.resolve() == moved / "base"


def test_base_of_the_hub_is_found_at_the_revision_of_the_adapter(pair, tmp_path, monkeypatch):
    base, adapter = pair
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append((hub_id, revision))
        return str(base)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    shutil.move(adapter, tmp_path / "alone" / "adapter")
    adapter = tmp_path / "alone" / "adapter"
    edit_json(adapter / CONFIG, base_model_name_or_path="lab/model", revision="v2")
    assert locate(adapter).base.name == "lab/model"
    assert asked[0] == ("lab/model", "v2")


def test_adapter_of_the_hub_opens_with_its_base_from_the_hub(pair, monkeypatch):
    base, adapter = pair
    folders = {"lab/adapter": adapter, "lab/model": base}
    edit_json(adapter / CONFIG, base_model_name_or_path="lab/model")
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda hub_id, **options: str(folders[hub_id])
    )
    files = locate("lab/adapter", "v1")
    assert (files.name, files.base.name) == ("lab/adapter", "lab/model")
    np.testing.assert_array_equal(answer(files), answer(adapter))


@pytest.mark.parametrize("named", [None, "", "./no/such/folder", "nobody/no-such-model"])
def test_base_that_is_not_there_is_named_with_a_way_out(named, pair, tmp_path):
    base, adapter = pair
    shutil.rmtree(base)
    edit_json(adapter / CONFIG, base_model_name_or_path=named)
    with pytest.raises(ModelError, match=named or "does not say") as caught:
        locate(adapter)
    assert "base_model_name_or_path" in caught.value.hint


def test_adapter_on_an_adapter_is_refused(pair, tmp_path):
    _, adapter = pair
    second = Path(shutil.copytree(adapter, tmp_path / "second"))
    edit_json(second / CONFIG, base_model_name_or_path=str(adapter))
    with pytest.raises(ModelError, match="adapter itself") as caught:
        locate(second)
    assert "Merge the base first" in caught.value.hint


# --- fingerprints ------------------------------------------------------------------------------


def test_fingerprint_follows_base_adapter_and_scale(pair):
    base, adapter = pair
    files = locate(adapter)
    assert files.base is not None and files.base.fingerprint == locate(base).fingerprint
    assert files.weights == (*files.base.weights, adapter / ADAPTER_WEIGHTS)
    seen = {locate(base).fingerprint, files.fingerprint}
    edit_json(adapter / CONFIG, lora_alpha=9)
    seen.add(locate(adapter).fingerprint)
    edit_weights(
        adapter / ADAPTER_WEIGHTS, lambda tensors: {name: 2 * t for name, t in tensors.items()}
    )
    seen.add(locate(adapter).fingerprint)
    edit_json(base / "preprocessor_config.json", do_normalize=True)
    seen.add(locate(adapter).fingerprint)
    assert len(seen) == 5


def test_fingerprint_ignores_how_the_adapter_was_trained(pair):
    _, adapter = pair
    before = locate(adapter).fingerprint
    edit_json(adapter / CONFIG, lora_dropout=0.5, peft_version="0.1", task_type="CTC")
    assert locate(adapter).fingerprint == before


# --- what is refused ---------------------------------------------------------------------------


def test_adapter_of_another_size_is_refused(pair):
    base, adapter = pair
    other = build("hubert-group", hidden_size=48)
    shutil.rmtree(base)
    other.save_pretrained(base)
    extractor_of("hubert-group").save_pretrained(base)
    with pytest.raises(ModelError, match="does not fit its base") as caught:
        open_model(adapter, device="cpu")
    assert "same size" in caught.value.hint


def test_adapter_of_a_deeper_model_is_refused(pair):
    base, adapter = pair
    shutil.rmtree(base)
    build("hubert-group", num_hidden_layers=1).save_pretrained(base)
    extractor_of("hubert-group").save_pretrained(base)
    with pytest.raises(ModelError, match=r"same layers: .*layers\.1\."):
        open_model(adapter, device="cpu")


def test_adapter_that_lacks_a_layer_is_refused(pair):
    """Its low-rank weights would stay random."""
    _, adapter = pair

    def drop(tensors):
        return {name: t for name, t in tensors.items() if "layers.1.attention.k_proj" not in name}

    edit_weights(adapter / ADAPTER_WEIGHTS, drop)
    with pytest.raises(ModelError, match=r"same layers: .*layers\.1\.attention\.k_proj"):
        open_model(adapter, device="cpu")


def test_adapter_of_another_family_is_refused(pair, tmp_path):
    _, adapter = pair
    other, _, _ = save_pair("whisper", tmp_path / "other")
    edit_json(adapter / CONFIG, base_model_name_or_path=str(other))
    with pytest.raises(ModelError):
        open_model(adapter, device="cpu")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / ADAPTER_WEIGHTS).unlink(), "without adapter_model"),
        (lambda folder: edit_json(folder / CONFIG, peft_type="IA3"), "'IA3'"),
        (lambda folder: (folder / CONFIG).write_text("{"), "cannot be read"),
        (
            lambda folder: (folder / ADAPTER_WEIGHTS).write_text("version https://git-lfs."),
            "git lfs pull",
        ),
        (lambda folder: (folder / "model.safetensors").touch(), "and a whole model"),
    ],
)
def test_folders_that_are_no_adapters_are_refused(damage, says, pair):
    damage(pair[1])
    with pytest.raises(ModelError, match=says):
        locate(pair[1])


def test_damaged_adapter_is_refused(pair):
    _, adapter = pair
    content = (adapter / ADAPTER_WEIGHTS).read_bytes()
    (adapter / ADAPTER_WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="cannot be read"):
        open_model(adapter, device="cpu")


def test_tensors_that_are_no_adapter_are_refused(pair):
    base, adapter = pair
    shutil.copy(base / "model.safetensors", adapter / ADAPTER_WEIGHTS)
    with pytest.raises(ModelError, match="no low-rank weights of a hubert encoder"):
        open_model(adapter, device="cpu")


@pytest.mark.parametrize(
    ("kind", "head", "target", "says"),
    [
        ("hubert-group", "ForSequenceClassification", ["projector"], "but projector"),
        (
            "whisper",
            "ForConditionalGeneration",
            r".*decoder.*q_proj",
            r"but model\.decoder\.layers",
        ),
    ],
)
def test_adapter_of_a_head_or_decoder_alone_is_told(kind, head, target, says, tmp_path):
    _, adapter, _ = save_pair(kind, tmp_path, head, targets=target)
    with pytest.raises(
        ModelError, match=f"adapts nothing of the encoder of base, {says}"
    ) as caught:
        open_model(adapter, device="cpu")
    assert "give it instead" in caught.value.hint


def test_adapter_that_makes_the_model_answer_nan_is_refused(pair):
    edit_weights(
        pair[1] / ADAPTER_WEIGHTS, lambda tensors: {n: t * float("nan") for n, t in tensors.items()}
    )
    with pytest.raises(ModelError, match="NaN"):
        open_model(pair[1], device="cpu")


def test_revision_of_a_local_adapter_is_refused(pair):
    with pytest.raises(InputError, match="revision"):
        locate(pair[1], "main")


def test_opening_leaves_the_random_state_alone(pair):
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    open_model(pair[1], device="cpu")
    assert torch.equal(torch.rand(3), wanted)


# --- forms, strength -----------------------------------------------------------------------------


def test_weights_as_peft_wrote_them_before_0_7_are_read(pair):
    _, adapter = pair
    wanted = answer(adapter)
    torch.save(load_file(adapter / ADAPTER_WEIGHTS), adapter / ADAPTER_FILES[1])
    (adapter / ADAPTER_WEIGHTS).unlink()
    np.testing.assert_array_equal(answer(adapter), wanted)
    assert locate(adapter).weights[-1].name == "adapter_model.bin"


def test_pickled_adapters_with_more_than_tensors_are_refused(pair):
    _, adapter = pair
    (adapter / ADAPTER_WEIGHTS).unlink()
    torch.save({"base_model.model.x": Path("x")}, adapter / ADAPTER_FILES[1])
    with pytest.raises(ModelError, match="cannot be read"):
        open_model(adapter, device="cpu")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrapped_names_and_a_byte_order_mark_are_no_matter(prefix, pair):
    _, adapter = pair
    wanted = answer(adapter)
    edit_weights(
        adapter / ADAPTER_WEIGHTS,
        lambda tensors: {
            name.replace("base_model.model.", f"base_model.model.{prefix}"): tensor
            for name, tensor in tensors.items()
        },
    )
    text = (adapter / CONFIG).read_text()
    (adapter / CONFIG).write_text(text, encoding="utf-8-sig")
    np.testing.assert_array_equal(answer(adapter), wanted)


@pytest.mark.parametrize("settings", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_adapters_that_change_nothing_are_refused(settings, tmp_path):
    _, adapter, _ = save_pair("hubert-group", tmp_path, **settings)
    edit_weights(
        adapter / ADAPTER_WEIGHTS,
        lambda tensors: {n: t * (0 if "lora_B" in n else 1) for n, t in tensors.items()},
    )
    with pytest.raises(ModelError, match="changes nothing") as caught:
        open_model(adapter, device="cpu")
    assert "base" in caught.value.hint


def test_an_adapter_that_trained_other_parts_alone_is_opened(tmp_path):
    _, adapter, _ = save_pair("hubert-group", tmp_path, modules_to_save=["layer_norm"])
    edit_weights(
        adapter / ADAPTER_WEIGHTS,
        lambda tensors: {n: t * (0 if "lora_B" in n else 1) for n, t in tensors.items()},
    )
    open_model(adapter, device="cpu")


def test_blocks_without_an_effect_are_told_and_the_strength_of_all(pair, caplog):
    _, adapter = pair
    edit_weights(
        adapter / ADAPTER_WEIGHTS,
        lambda tensors: {
            n: t * (0 if "lora_B" in n and "layers.0." in n else 1) for n, t in tensors.items()
        },
    )
    with caplog.at_level(logging.INFO, logger="braindash"):
        open_model(adapter, device="cpu")
    assert "changes nothing in the blocks 1" in caplog.text
    strengths = lora_strengths(read_adapter(locate(adapter)))
    assert list(strengths) == ["1", "2"] and strengths["1"] == 0
    stored = load_file(adapter / ADAPTER_WEIGHTS)
    squares = sum(float(t.square().sum()) for n, t in stored.items() if "lora_B" in n)
    assert strengths["2"] == pytest.approx(squares**0.5, rel=1e-6)
    assert f"{strengths['2']:.3g}" in caplog.text


@pytest.mark.parametrize("kind", ["unispeech-sat", "w2v-bert", "parakeet"])
def test_adapters_of_further_families_are_merged(kind, tmp_path):
    """Parakeet's encoder calls its projections otherwise; names are the adapter's own."""
    targets = {"w2v-bert": ["linear_q", "linear_v"], "parakeet": ["q_proj", "v_proj"]}
    head = "ForCTC"
    inside = {"unispeech-sat": "unispeech_sat", "w2v-bert": "wav2vec2_bert", "parakeet": "encoder"}
    _, adapter, merged = save_pair(kind, tmp_path, head, targets.get(kind))
    found = open_model(adapter, device="cpu").module.state_dict()
    wanted = merged.get_submodule(inside[kind]).state_dict()
    assert all(torch.allclose(found[n], t, atol=1e-6) for n, t in wanted.items())
