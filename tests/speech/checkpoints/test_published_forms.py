"""State dictionaries of other training scripts: RABBiT's, Lightning's, adapters alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from kit.models.model_folders import answer
from kit.models.tiny_models import build, save_kind
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

from braindash.errors import InputError
from braindash.speech.checkpoints.published import import_checkpoint

TARGETS = [f"attention.{name}_proj" for name in ("q", "k", "v", "out")]
RANK, ALPHA = 4, 32


def trained(kind, head="Model", targets=TARGETS):
    """A model with adapters that matter, and the model once they are merged."""
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, bias="none")
    wrapped = get_peft_model(build(kind, head), config)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return wrapped


def merged(wrapped):
    return wrapped.merge_and_unload().eval()


def write(content, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    made = {}

    def find(kind):
        if kind not in made:
            made[kind] = save_kind(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return find


@pytest.mark.parametrize(
    ("before", "beside"),
    [
        ("", {}),
        ("", {"lm_head.weight": torch.zeros(4, 32)}),
        ("backbone.", {"linear.weight": torch.zeros(4, 32), "linear.bias": torch.zeros(4)}),
        ("model.", {"model.linear.weight": torch.zeros(4, 32)}),
        ("model.hubert.", {"model.linear.weight": torch.zeros(4, 32)}),
        ("net.encoder_model.", {"net.classifier.weight": torch.zeros(4, 32)}),
    ],
)
def test_an_encoder_alone_or_in_a_module_of_any_name(before, beside, base, tmp_path):
    """The base tells its family; the names tell whether it fits."""
    model = build("hubert-group")
    with torch.no_grad():
        model.encoder.layers[1].attention.q_proj.weight.mul_(1.5)
    state = {before + name: tensor for name, tensor in model.state_dict().items()} | beside
    content = {"state_dict": state, "epoch": 3} if before.startswith("model.") else state
    file = write(content, tmp_path / "x.pth")
    import_checkpoint(file, base=base("hubert-group"), out=tmp_path / "out")
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(model.eval()))
    with pytest.raises(InputError):
        import_checkpoint(file, base=base("wavlm-group"), out=tmp_path / "other")


def test_whispers_encoder_alone_is_taken_over(base, tmp_path):
    encoder = build("whisper").encoder
    with torch.no_grad():
        encoder.layers[0].fc1.weight.mul_(1.5)
    for before in ("", "tower."):
        state = {before + name: tensor for name, tensor in encoder.state_dict().items()}
        file = write(state, tmp_path / "x.pth")
        out = tmp_path / f"out{before}"
        import_checkpoint(file, base=base("whisper"), out=out)
        np.testing.assert_array_equal(answer(out), answer(encoder.eval()))


def test_of_two_encoders_none_is_chosen(base, tmp_path):
    """A student and its teacher, say."""
    model = build("hubert-group")
    state = {
        f"{before}.{name}": tensor
        for before in ("student", "teacher")
        for name, tensor in model.state_dict().items()
    }
    with pytest.raises(InputError, match="unknown weights"):
        import_checkpoint(
            write(state, tmp_path / "x.pth"), base=base("hubert-group"), out=tmp_path / "out"
        )


RABBIT_PARTS = {
    "input_proj.weight": torch.zeros(4, 32),
    "query_embed.weight": torch.zeros(2, 4),
    "decoder.layers.0.self_attn.in_proj_weight": torch.zeros(12, 4),
    "roi_readouts.aud_lh.coeff.weight": torch.zeros(3, 4),
}
RABBIT_FACTS = {"epoch": 3, "eval_loss": 0.5, "rabbit_version": "0.1", "roi_names": ["aud_lh"]}


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wavlm-group"])
@pytest.mark.parametrize("form", ["native", "first"])
def test_rabbits_encoder_is_taken_over_with_its_adapters_folded(kind, form, base, tmp_path):
    targets = TARGETS if kind.startswith("wav2") else ["intermediate_dense", "output_dense"]
    wrapped = trained(kind, targets=targets)
    inner = {name: tensor.clone() for name, tensor in wrapped.state_dict().items()}
    if form == "native":
        state = {f"backbone.backbone.{name}": tensor for name, tensor in inner.items()}
        content = RABBIT_FACTS | {"model": state | RABBIT_PARTS}
    else:
        state = {f"lora_wav2vec.{name}": tensor for name, tensor in inner.items()}
        state |= {
            f"ssl_model.wav2vec2.{name.removeprefix('base_model.model.')}": tensor
            for name, tensor in inner.items()
        }
        state |= {"ssl_model.quantizer.codevectors": torch.zeros(2)}
        state |= {f"temporal_brain_encoder.{name}": one for name, one in RABBIT_PARTS.items()}
        content = {"model": state}
    file = write(content, tmp_path / "best.pt")
    record = import_checkpoint(file, base=base(kind), out=tmp_path / "out")
    np.testing.assert_allclose(answer(tmp_path / "out"), answer(merged(wrapped)), atol=3e-4)
    assert np.abs(answer(tmp_path / "out") - answer(base(kind))).max() > 0.01
    assert (record.form, record.lora_rank, record.lora_alpha) == ("lora", RANK, ALPHA)
    told = "\n".join(record.lines())
    if form == "native":
        assert set(RABBIT_FACTS) <= set(record.left_out) and "roi_readouts" in told
    else:
        assert set(record.left_out) == {"ssl_model", "temporal_brain_encoder"}
        assert record.n_duplicates == len(inner)


@pytest.mark.parametrize("container", ["state_dict", "model_state_dict", "model"])
def test_a_state_dictionary_in_a_larger_one_is_found(container, base, tmp_path):
    tuned = build("hubert-group")
    with torch.no_grad():
        tuned.encoder.layers[1].attention.q_proj.weight.mul_(1.5)
    state = {f"module._orig_mod.hubert.{name}": one for name, one in tuned.state_dict().items()}
    content = {container: state, "epoch": 4, "global_step": 9}
    record = import_checkpoint(
        write(content, tmp_path / "x.pth"), base=base("hubert-group"), out=tmp_path / "out"
    )
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(tuned))
    assert record.left_out == ("epoch", "global_step")


@pytest.mark.parametrize("saved", ["state_dict", "by peft", "under a head"])
def test_adapters_alone_are_put_on_the_base(saved, base, tmp_path):
    """As a script writes that saves what was trained, or peft's own selection of it."""
    kind = "wavlm-group"
    targets = ["intermediate_dense", "output_dense"]
    wrapped = trained(kind, "ForCTC" if saved == "under a head" else "Model", targets)
    state = {
        name: tensor.clone()
        for name, tensor in (
            get_peft_model_state_dict(wrapped) if saved == "by peft" else wrapped.state_dict()
        ).items()
        if "lora_" in name
    }
    own = base(kind)
    model = merged(wrapped)
    if saved == "under a head":
        model = model.wavlm
        own = tmp_path / "own"
        build(kind, "ForCTC").wavlm.save_pretrained(own)
    record = import_checkpoint(write(state, tmp_path / "x.pth"), base=own, out=tmp_path / "out")
    np.testing.assert_allclose(answer(tmp_path / "out"), answer(model), atol=3e-4)
    assert record.adapters_alone and "adapters alone" in "\n".join(record.lines())


def test_a_container_with_more_than_tensors_is_refused(base, tmp_path):
    content = {"state_dict": {"hubert.x": torch.zeros(2), "hubert.y": "text"}}
    with pytest.raises(InputError, match="no tensors: hubert"):
        import_checkpoint(
            write(content, tmp_path / "x.pth"), base=base("hubert-group"), out=tmp_path / "out"
        )


def test_objects_beside_the_tensors_are_never_made(base, tmp_path):
    content = {"state_dict": {"hubert.x": torch.zeros(2)}, "config": Path("x")}
    with pytest.raises(InputError, match="Python objects besides tensors"):
        import_checkpoint(
            write(content, tmp_path / "x.pth"), base=base("hubert-group"), out=tmp_path / "out"
        )
