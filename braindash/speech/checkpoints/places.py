"""Where a model lies: a folder, a copy of the hub's cache, or the hub itself; without torch."""

import re
from collections.abc import Sequence
from pathlib import Path

from braindash.errors import InputError, ModelError
from braindash.names import given_path
from braindash.speech.checkpoints.families import MODEL_TYPES
from braindash.speech.checkpoints.folders import (
    CONFIGS,
    FOLDER_HINT,
    WEIGHTS,
    find_weights,
    read_json,
)

ADAPTER_CONFIG = "adapter_config.json"
# Best first; peft wrote the other before 0.7.
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")
# Says under which licence a model of the hub is given.
CARD = "README.md"
CACHED = "models--"

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_INDEX = "*.index.json"


def find_folder(
    text: str, revision: str | None, *, with_weights: bool, beside: Sequence[str] = ()
) -> tuple[Path, str | None, str]:
    """Find a model's folder, with its commit (of the hub) and its short name.

    Parameters
    ----------
    text : str
        A folder, a copy of a folder of the hub's cache (``models--OWNER--NAME``), or a hub id.
    revision : str or None
    with_weights : bool
        False where the configurations are enough.
    beside : sequence of str
        Patterns of further files that are wanted with the weights.

    Returns
    -------
    folder : Path
    commit : str or None
        None for what lies here.
    name : str

    Raises
    ------
    ModelError
        When there is no such model.
    InputError
        For a revision of a local folder.
    """
    path = given_path(text, exact=True)
    if path.exists() or not is_hub_id(text):
        folder = _local_folder(path, revision)
        return folder, None, name_of(folder)
    folder = _hub_folder(text, revision, with_weights=with_weights, beside=beside)
    return folder, folder.name, text


def is_hub_id(text: str) -> bool:
    """Say whether a text may be a hub id: ``OWNER/NAME``, or ``NAME`` alone."""
    return bool(_HUB_ID.fullmatch(text))


def name_of(folder: Path) -> str:
    """Return a folder's name; that of the hub for a folder of its cache."""
    whole = folder.absolute()
    cached = whole.parent.parent.name
    if whole.parent.name == "snapshots" and cached.startswith(CACHED):
        return hub_id_of(cached)
    return folder.resolve().name


def hub_id_of(cached: str) -> str:
    """Return the hub id that a folder of the cache is named after: ``models--OWNER--NAME``."""
    return cached.removeprefix(CACHED).replace("--", "/", 1)


def _local_folder(path: Path, revision: str | None) -> Path:
    if path.exists() and revision is not None:
        raise InputError(
            f"the revision {revision!r} was given for the local folder {path}",
            hint="Only models of the hub have revisions: leave it out.",
        )
    if path.is_dir():
        return _inside_cache(path)
    if path.exists():
        raise ModelError(
            f"the model {path} is a file, not a folder",
            hint=f"{FOLDER_HINT} A state dictionary of brain-tuning (.pth, .pt) is taken over by "
            "`braindash import-checkpoint`.",
        )
    raise ModelError(
        f"there is no model folder {path}",
        hint=f"Check the spelling. {FOLDER_HINT} A hub id has the form OWNER/NAME.",
    )


def _inside_cache(path: Path) -> Path:
    """Step from a folder of the hub's cache, or a copy of one, to the snapshot that is meant."""
    cached = path.parent if path.name == "snapshots" else path
    snapshots = cached / "snapshots"
    if (path / "config.json").exists() or not snapshots.is_dir():
        return path
    meant = cached / "refs" / "main"
    if meant.is_file():
        commit = meant.read_text(encoding="utf-8", errors="replace").strip()
        if _COMMIT.fullmatch(commit) and (snapshots / commit).is_dir():
            return snapshots / commit
    found = sorted(one for one in snapshots.iterdir() if one.is_dir())
    if len(found) == 1:
        return found[0]
    listed = ", ".join(one.name for one in found) or "none"
    raise ModelError(
        f"{path} is a folder of the hub's cache with {len(found)} snapshots ({listed})",
        hint=f"Give one of the folders in {snapshots}, or the hub id {hub_id_of(cached.name)}.",
    )


def _hub_folder(
    hub_id: str, revision: str | None, *, with_weights: bool, beside: Sequence[str]
) -> Path:
    """Download (or find in the hub's cache) the few files that are needed."""
    configs = [*CONFIGS, ADAPTER_CONFIG, CARD, _INDEX]
    folder = _snapshot(hub_id, revision, configs)
    if not with_weights:
        return folder
    # The commit of the first call: a branch may move between the two.
    commit = folder.name
    tower = _tower_parts(folder)
    configs = [*configs, *beside]
    safe = tower or ["model*.safetensors", ADAPTER_FILES[0]]
    folder = _snapshot(hub_id, commit, [*configs, *safe])
    if not tower and not any((folder / name).exists() for name in (WEIGHTS[0], ADAPTER_FILES[0])):
        index = WEIGHTS[1]
        if not (folder / index).exists():
            older = ["pytorch_model*.bin", ADAPTER_FILES[1]]
            folder = _snapshot(hub_id, commit, [*configs, *older])
    return folder


def _tower_parts(folder: Path) -> list[str]:
    """Name the parts that hold the audio tower of a larger model; none for other models."""
    if not all((folder / name).exists() for name in (CONFIGS[0], WEIGHTS[1])):
        return []
    family = MODEL_TYPES.get(str(read_json(folder / CONFIGS[0]).get("model_type")))
    if family is None or not family.tower:
        return []
    return [path.name for path in find_weights(folder, family, present=False)]


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
