"""The Python interface, as a notebook uses it."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin

import numpy as np
import pytest
from kit.data.toy_lab import babble
from kit.results.made_up import put_result
from kit.results.made_up_probing import put_probing
from kit.results.stored import KEY, PROVENANCE, dataset

import braindash
from braindash.defaults import PRESETS
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError, ModelError, StoreError
from braindash.io.store import Store
from braindash.probing.result import ProbingResult
from braindash.requests import EncodeRequest, Method, ProbeRequest, TuneRequest
from braindash.specs import AdapterSettings, TuningSettings
from braindash.tuning.result import TuningResult

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def audio():
    samples, _ = babble(24.0, 16000, np.random.default_rng(3))
    return samples.astype(np.float32)


def test_features_have_one_row_per_time_and_layer(tiny_model, audio):
    times = np.arange(4.0, 20.0, 2.0)
    found = braindash.extract_features(tiny_model, audio, times, strategy="chunk")
    assert found.shape == (3, len(times), 24) and found.dtype == np.float32
    assert np.isfinite(found).all()


def test_an_opened_model_and_its_folder_give_the_same_features(tiny_model, audio):
    times = [6.0, 8.0, 10.0]
    opened = braindash.open_model(tiny_model, device="cpu")
    by_model = braindash.extract_features(opened, audio, times)
    by_folder = braindash.extract_features(str(tiny_model), audio, times, device="cpu")
    np.testing.assert_array_equal(by_model, by_folder)
    some = braindash.extract_features(opened, audio, times, layers=[2, 0])
    np.testing.assert_array_equal(some, by_model[[2, 0]])


def test_every_public_name_can_be_imported():
    for name in braindash.__all__:
        assert getattr(braindash, name) is not None
    assert set(braindash.__all__) <= set(dir(braindash))
    with pytest.raises(AttributeError, match="no attribute 'encod'"):
        _ = braindash.encod


def test_editors_and_type_checkers_see_the_public_names():
    """The imports for them, the list of names and the homes of the lazy names are one."""
    tree = ast.parse(Path(braindash.__file__).read_text())
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == braindash._HOMES
    assert sorted([*seen, "__version__"]) == sorted(braindash.__all__)


# ---- parameters -----------------------------------------------------------------------------

OTHERS = {"store", "progress", "out"}


PAPER = PRESETS["moussa2025-a"]


def accepted(annotation: Any) -> Any:
    """What a caller may give for a request's field."""
    if get_origin(annotation) is tuple:
        return Sequence[get_args(annotation)[0]]
    if annotation == dict[str, Any]:
        return Mapping[str, Any]
    if annotation in (Path, Path | None):
        return annotation | str
    return annotation


def expected_parameters(
    fields: Mapping[str, Any], filled: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, tuple[Any, Any]]:
    """Annotation and default of every parameter, as pydantic's fields say."""
    found = {}
    for name, field in fields.items():
        if name == "left_out":  # filled when recordings are found bad
            continue
        annotation, default = accepted(field.annotation), field.get_default()
        # A preset fills what is not given, which a default of its own would hide.
        if field.default_factory is not None or name in filled:
            annotation, default = annotation | None, None
        found[name] = (annotation, inspect.Parameter.empty if field.is_required() else default)
    return found | {"model": (str | Path, inspect.Parameter.empty)}


def tune_parameters() -> dict[str, tuple[Any, Any]]:
    """The request's fields, the training's settings and the adapters', all flat."""
    fields = {**TuneRequest.model_fields, **TuningSettings.model_fields}
    expected = expected_parameters(fields)
    del expected["settings"], expected["adapter"]
    for name, field in AdapterSettings.model_fields.items():
        # None until the method is known: they belong to adapters only.
        flat = "adapter_dropout" if name == "dropout" else name
        expected[flat] = (accepted(field.annotation) | None, None)
    return expected | {"method": (Method, "full")}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (braindash.encode, expected_parameters(EncodeRequest.model_fields, PAPER.settings)),
        (braindash.probe, expected_parameters(ProbeRequest.model_fields, PAPER.probes.settings)),
        (braindash.tune, tune_parameters()),
    ],
    ids=["encode", "probe", "tune"],
)
def test_parameters_are_the_fields_of_the_request(function, expected):
    parameters = inspect.signature(function).parameters
    found = {name: (one.annotation, one.default) for name, one in parameters.items()}
    assert {name: found[name] for name in found.keys() - OTHERS} == expected
    assert all(found[name][1] is None for name in OTHERS & found.keys())


@pytest.mark.parametrize("name", ["encode", "probe", "tune", "extract_features"])
def test_docstrings_tell_every_parameter_and_its_true_default(name):
    function = getattr(braindash, name)
    text = inspect.getdoc(function).split("Returns\n---")[0]
    told = {
        parameter: header
        for names, header in re.findall(r"^(\w[\w, ]*) : (.+)$", text, re.MULTILINE)
        for parameter in names.split(", ")
    }
    parameters = inspect.signature(function).parameters
    assert list(told) == list(parameters), "each once, in the order of the signature"
    for parameter, header in told.items():
        default = parameters[parameter].default
        _, said, value = header.partition(", default ")
        if said:
            assert ast.literal_eval(value) == default, parameter
        else:
            optional = "optional" in header or isinstance(default, tuple)
            assert optional == (default is not inspect.Parameter.empty), parameter


def test_what_is_given_reaches_the_request(lab, tmp_path, monkeypatch):
    asked = []

    def stop(request, store, progress=None, *, out=None):
        asked.append((request, store.root, out))

    for kind in ("encoding.run.run_encoding", "probing.run.run_probing", "tuning.run.run_tuning"):
        monkeypatch.setattr(f"braindash.{kind}", stop)
    braindash.encode("m.toml", lab.model, "A", alphas=[1, 10], low_level="banded", store=tmp_path)
    braindash.probe("m", labels="table", labels_path="t.csv", tasks=["phone"], max_units=500)
    braindash.tune("m.toml", "m", ["A"], method="lora", rank=4, patience=None, out=tmp_path / "o")
    (encoded, root, _), (probed, *_), (tuned, _, out) = asked
    assert root == tmp_path and out == tmp_path / "o"
    assert encoded == EncodeRequest(
        data="m.toml", model=str(lab.model), subject="A", alphas=(1, 10), low_level="banded"
    )
    assert probed == ProbeRequest(
        model="m", labels="table", labels_path="t.csv", tasks=("phone",), max_units=500
    )
    assert tuned == TuneRequest(
        data="m.toml",
        model="m",
        subjects=("A",),
        settings=TuningSettings(adapter=AdapterSettings(rank=4), patience=None),
    )
    with pytest.raises(InputError, match="metric"):
        braindash.encode("m.toml", "m", "A", metric="r3")
    with pytest.raises(InputError, match="subjects"):
        braindash.tune("m.toml", "m", "A")


SCRIPT = """
import braindash

audio = braindash.load_audio("story.wav")
features = braindash.extract_features("model", audio, [1.0, 2.0], strategy="chunk", tr=2.0)
print(features.shape)
result = braindash.encode("m.toml", "model", "S01", alphas=[1.0, 10.0], low_level="residual")
print(result.regions().groupby("region")["r"].max(), result.key)
probes = braindash.probe("model", "m.toml", tasks=["phone"], method="logistic")
tuned: braindash.TuningResult = braindash.tune("m.toml", "model", ["S01"], loss="correlation")
print(braindash.compare([result], [result]).regions(), probes.table(), tuned.folder)
"""
WRONG = """
import braindash

braindash.encode("m.toml", "model", "S01", metrc="r")  # call-arg
braindash.encode("m.toml", "model", "S01", metric="r3")  # arg-type
braindash.probe("model", "m.toml", seed="one")  # arg-type
braindash.tune("m.toml", "model", ["S01"], epochs=1.5)  # arg-type
braindash.encod("m.toml", "model", "S01")  # attr-defined
braindash.encode("m.toml", "model", "S01").regionz()  # attr-defined
"""


@pytest.mark.slow
def test_a_type_checker_passes_a_right_script_and_finds_every_mistake(tmp_path):
    """In one run: nearly all of its time goes into braindash itself."""
    scripts = {"right.py": SCRIPT, "wrong.py": WRONG}
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context"]
    command += [str(tmp_path / name) for name in scripts]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line.split(":", 2) for line in done.stdout.splitlines() if " error: " in line]
    found = {
        (Path(path).name, int(number), told[told.rindex("[") :]) for path, number, told in lines
    }
    assert found == {
        ("wrong.py", number, f"[{line.split('# ')[1]}]")
        for number, line in enumerate(WRONG.splitlines(), start=1)
        if "# " in line
    }


def test_a_missing_result_and_a_missing_model_say_what_to_do(tmp_path, lab):
    with pytest.raises(StoreError) as caught:
        braindash.open_result("0123abcd", store=tmp_path)
    assert "braindash list" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        braindash.encode(lab.manifest, tmp_path / "nothing", "A", store=tmp_path)
    assert "save_pretrained" in caught.value.hint


def test_the_default_store_is_the_environments(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINDASH_STORE", str(tmp_path / "named"))
    result = braindash.encode(lab.manifest, lab.model, "A", strategy="chunk", alphas=(1.0, 10.0))
    assert result.folder.is_relative_to(tmp_path / "named")


def test_features_of_a_model_that_is_named_take_revision_and_precision(tiny_model, monkeypatch):
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append((hub_id, revision))
        return str(tiny_model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    audio, times = np.full(16000, 0.1, np.float32), [0.4, 0.6]
    by_hub = braindash.extract_features("lab/tiny", audio, times, revision="v1", device="cpu")
    assert asked[0] == ("lab/tiny", "v1")
    assert asked[1:] == [("lab/tiny", tiny_model.name)], "the weights of the commit that was found"
    np.testing.assert_array_equal(
        by_hub, braindash.extract_features(tiny_model, audio, times, device="cpu")
    )
    with pytest.raises(InputError, match=r"'bf16'.* CPU"):
        braindash.extract_features(tiny_model, audio, times, precision="bf16", device="cpu")


def put_as(kind, store, key):
    """Store arrays under a kind that has no result class of its own."""
    return store.put(kind, key, spec={"kind": kind}, provenance=PROVENANCE, dataset=dataset())


@pytest.mark.parametrize(
    ("kind", "told", "hint"),
    [
        ("features", "names features of tiny", "braindash list --kind encoding"),
        ("predictions", "belong to an encoding result", "braindash list"),
        ("unit-features", "belong to a probing result", "braindash list"),
    ],
)
def test_a_key_of_what_results_are_made_of_says_what_it_names(tmp_path, kind, told, hint):
    store = Store(tmp_path)
    put_as(kind, store, KEY)
    with pytest.raises(StoreError, match=told) as caught:
        braindash.open_result(KEY[:8], store=store)
    assert hint in caught.value.hint


def test_a_key_of_a_result_and_of_its_predictions_opens_the_result(tmp_path):
    store = Store(tmp_path)
    key = put_result(store, space="roi")
    put_as("predictions", store, key)
    assert braindash.open_result(key, store=store).key == key


@pytest.mark.parametrize("result", [EncodingResult, ProbingResult])
def test_a_result_is_not_opened_as_another_kind(tmp_path, result):
    entry = put_as("features", Store(tmp_path), KEY)
    with pytest.raises(StoreError, match=f"names features, not {result.kind}"):
        result.load(entry)
    with pytest.raises(StoreError, match="names features, not tuning"):
        TuningResult.load(entry, Store(tmp_path))


def test_only_encoding_results_are_exported_with_predictions(tmp_path):
    store = Store(tmp_path)
    key = put_probing(store).key
    with pytest.raises(InputError, match="has no predictions"):
        store.export(key, tmp_path, with_predictions=True)
