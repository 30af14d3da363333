"""Find the files of a speech model, or an acoustic space, and fingerprint it, without torch."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from braindash.digest import digest_file, digest_json
from braindash.errors import InputError, ModelError, near_match
from braindash.speech.families import FAMILIES
from braindash.speech.spaces import ACOUSTIC, find_space, is_acoustic

logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 16000

_CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json")
_ADAPTER = "adapter_config.json"
_OTHER_WEIGHTS = "transformers_weights"
# Best first: safetensors hold nothing but arrays; transformers reads the others with weights_only.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Fields that say how or by whom a checkpoint was written, not what the model computes.
_VOLATILE = frozenset(
    {
        "architectures",
        "attn_implementation",
        "dtype",
        "gradient_checkpointing",
        "id2label",
        "label2id",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "torch_dtype",
        "transformers_version",
    }
)
_LFS_POINTER = b"version https://git-lfs"
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_FOLDER_HINT = (
    "Give a folder that holds config.json and model.safetensors, as written by "
    "`model.save_pretrained(folder)` or `hf download ID --local-dir FOLDER`."
)


@dataclass(frozen=True)
class ModelFiles:
    """A speech model on disk, found and checked but not loaded; or an acoustic feature space.

    Parameters
    ----------
    source : str
        What the user gave: a folder, a hub id or ``acoustic:NAME``.
    name : str
        Short name for tables and figures: the hub id, the name of the folder or ``acoustic:NAME``.
    revision : str or None
        Commit of a hub model or version of an acoustic space; None for a local folder.
    folder : Path
        Where the files lie; an acoustic space has none, and the empty path stands here.
    family : str
        Key of :data:`braindash.speech.families.FAMILIES`, or ``"acoustic"``.
    config : mapping
        Content of ``config.json``; of an acoustic space its settings and, under the same names as
        there, its size.
    normalise : bool
        True when each window of audio must be brought to zero mean and unit variance.
    weights : tuple of Path
        The files that hold the weights.
    fingerprint : str
        Digest of what the model computes: configuration, normalisation and weights. Folder,
        name and revision play no part. Weights count by the bytes of their files, so the same
        numbers stored otherwise (in other parts, another precision or under older names of the
        positional convolution) have another fingerprint: equal fingerprints mean equal features,
        while different ones need not mean different features. An acoustic space counts by its
        parts, their versions and settings.
    """

    source: str
    name: str
    revision: str | None
    folder: Path
    family: str
    config: Mapping[str, Any] = field(repr=False, compare=False)
    normalise: bool
    weights: tuple[Path, ...]
    fingerprint: str


def locate(source: str | Path, revision: str | None = None) -> ModelFiles:
    """Find a speech model's files and fingerprint them.

    Parameters
    ----------
    source : str or Path
        A local folder, or a Hugging Face hub id such as ``"facebook/hubert-base-ls960"``. A
        folder that exists wins over a hub id of the same spelling. The environment variable
        ``HF_HUB_OFFLINE`` is honoured. ``"acoustic:NAME"`` is always one of
        :data:`braindash.speech.spaces.SPACES`.
    revision : str, optional
        Branch, tag or commit of a hub id.

    Returns
    -------
    ModelFiles

    Raises
    ------
    ModelError
        When the model cannot be found, has no weights, or is of a family not supported.
    """
    text = str(source)
    if is_acoustic(text):
        return _acoustic_space(text, revision)
    path = Path(text).expanduser()
    if path.exists() or not _HUB_ID.fullmatch(text):
        folder, commit, name = _local_folder(path, revision), None, path.resolve().name
    else:
        folder = _hub_folder(text, revision)
        commit, name = folder.name, text
    config = _read_config(folder)
    family = _family(folder, config)
    normalise = _normalise(folder)
    weights = _weights(folder)
    return ModelFiles(
        source=text,
        name=name,
        revision=commit,
        folder=folder,
        family=family,
        config=config,
        normalise=normalise,
        weights=weights,
        fingerprint=_fingerprint(config, normalise, weights),
    )


def _acoustic_space(source: str, revision: str | None) -> ModelFiles:
    space = find_space(source)
    if revision is not None:
        raise InputError(
            f"the revision {revision!r} was given for the acoustic feature space {source}",
            hint="Only models of the hub have revisions: leave it out.",
        )
    size = {"num_hidden_layers": 0, "hidden_size": space.n_features}
    return ModelFiles(
        source=source,
        name=space.full_name,
        revision=space.version,
        folder=Path(),
        family=ACOUSTIC,
        config={"model_type": ACOUSTIC, **size, "parts": space.settings},
        normalise=False,
        weights=(),
        fingerprint=space.fingerprint,
    )


def _local_folder(path: Path, revision: str | None) -> Path:
    if path.exists() and revision is not None:
        raise InputError(
            f"the revision {revision!r} was given for the local folder {path}",
            hint="Only models of the hub have revisions: leave it out.",
        )
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"the model {path} is a file, not a folder", hint=_FOLDER_HINT)
    raise ModelError(
        f"there is no model folder {path}",
        hint=f"Check the spelling. {_FOLDER_HINT} A hub id has the form OWNER/NAME.",
    )


def _hub_folder(hub_id: str, revision: str | None) -> Path:
    """Download (or find in the hub's cache) the few files that are needed."""
    safe = [*_CONFIGS, "model*.safetensors", "model.safetensors.index.json"]
    folder = _snapshot(hub_id, revision, safe)
    if not any((folder / name).exists() for name in _WEIGHTS[:2]):
        # The commit of the first call: a branch may move between the two.
        folder = _snapshot(hub_id, folder.name, [*_CONFIGS, "pytorch_model*.bin*"])
    return folder


def _snapshot(hub_id: str, revision: str | None, patterns: list[str]) -> Path:
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(hub_id, revision=revision, allow_patterns=patterns)
        )
    except Exception as error:
        # Everything that a network, a proxy, a cache and an HTTP library can raise ends here.
        at = f" at revision {revision!r}" if revision else ""
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"the model {hub_id!r}{at} is no folder here and cannot be had from the hub: {reason}",
            hint="Check the id and the connection (HF_HUB_OFFLINE=1 forbids downloads). Without "
            f"network, use a local folder: on a connected machine run `hf download {hub_id} "
            "--local-dir FOLDER`, copy FOLDER here and give its path instead of the id.",
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", hint="Copy or download the model again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object", hint="Copy or download the model again.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _read_config(folder: Path) -> dict[str, Any]:
    # transformers would silently put an adapter lying next to a model on top of its weights.
    if (folder / _ADAPTER).exists():
        raise ModelError(
            f"{folder} holds an adapter ({_ADAPTER}), not a whole model",
            hint="Merge it first (peft: `merge_and_unload()`, then `save_pretrained(FOLDER)`).",
        )
    if not (folder / "config.json").exists():
        raise ModelError(f"{folder} has no config.json", hint=_FOLDER_HINT)
    config = _read_json(folder / "config.json")
    # transformers would load that file, while the fingerprint is that of the usual one.
    if config.get(_OTHER_WEIGHTS) is not None:
        raise ModelError(
            f"{folder / 'config.json'} sets {_OTHER_WEIGHTS} to {config[_OTHER_WEIGHTS]!r}",
            hint=f"Name the weights model.safetensors and take {_OTHER_WEIGHTS} out.",
        )
    return config


def _family(folder: Path, config: Mapping[str, Any]) -> str:
    name = config.get("model_type")
    if isinstance(name, str) and name in FAMILIES:
        return name
    raise ModelError(
        f"{folder / 'config.json'} names the model type {name!r}, which braindash cannot open",
        hint=near_match(str(name), FAMILIES),
    )


def _normalise(folder: Path) -> bool:
    """Read whether the preprocessor normalises the waveform (and check its sampling rate)."""
    settings: dict[str, Any] = {}
    where = folder / "preprocessor_config.json"
    if where.exists():
        settings = _read_json(where)
    if (folder / "processor_config.json").exists():
        # Newer versions of transformers nest the same settings in the processor's file.
        nested = _read_json(folder / "processor_config.json")
        nested = nested.get("feature_extractor", nested.get("audio_processor", {}))
        if nested:
            settings, where = nested, folder / "processor_config.json"
    if not settings:
        logger.warning("%s has no preprocessor_config.json: windows are normalised", folder)
    rate = settings.get("sampling_rate", SAMPLE_RATE_HZ)
    normalise = settings.get("do_normalize", True)
    if rate != SAMPLE_RATE_HZ or not isinstance(normalise, bool):
        raise ModelError(
            f"{where} asks for sampling_rate {rate!r} and do_normalize {normalise!r}",
            hint=f"braindash runs models at {SAMPLE_RATE_HZ} Hz; do_normalize is true or false.",
        )
    return normalise


def _weights(folder: Path) -> tuple[Path, ...]:
    first = next((folder / name for name in _WEIGHTS if (folder / name).exists()), None)
    if first is None:
        raise ModelError(
            f"{folder} has a configuration but no weights (looked for {', '.join(_WEIGHTS)})",
            hint=f"{_FOLDER_HINT} braindash never starts from random weights.",
        )
    files = _parts(first) if first.name.endswith(".index.json") else (first,)
    for path in files:
        _check_weights(path)
    return files


def _parts(index: Path) -> tuple[Path, ...]:
    """Files that the index of a model in several parts names; all lie next to it."""
    named = _read_json(index).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise ModelError(
            f"{index} names no weights, or some outside its folder",
            hint="Copy or download the model again.",
        )
    return tuple(index.parent / name for name in sorted(set(names)))


def _check_weights(path: Path) -> None:
    if not path.is_file():
        raise ModelError(
            f"the weights are incomplete: {path} is missing",
            hint="Copy or download the model again, with all its parts.",
        )
    with path.open("rb") as stream:
        start = stream.read(len(_LFS_POINTER))
    if start == _LFS_POINTER:
        raise ModelError(
            f"{path} is a Git LFS pointer, not the weights themselves",
            hint="Run `git lfs pull` in the folder, or download the model with `hf download`.",
        )


def _fingerprint(config: Mapping[str, Any], normalise: bool, weights: tuple[Path, ...]) -> str:
    computed = {
        name: value
        for name, value in config.items()
        if name not in _VOLATILE and not name.startswith("_")
    }
    # Names of the parts play no part: the same tensors under other file names are the same model.
    digests = sorted(digest_file(path) for path in weights)
    return digest_json({"config": computed, "normalise": normalise, "weights": digests})
