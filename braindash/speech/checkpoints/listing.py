"""Which models lie on this computer, and what a model is, told from its files; without torch."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from braindash.errors import BraindashError
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.folders import (
    SAMPLE_RATE_HZ,
    common_names,
    find_family,
    find_weights,
    read_config,
    read_json,
)
from braindash.speech.checkpoints.languages import languages_in, shown_languages
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.checkpoints.places import (
    ADAPTER_CONFIG,
    ADAPTER_FILES,
    CACHED,
    CARD,
    find_folder,
    hub_id_of,
)
from braindash.speech.checkpoints.tensors import headers
from braindash.speech.geometry import geometry_of
from braindash.speech.windows import (
    STRATEGIES,
    context_seconds,
    extraction_seconds,
    n_parameters,
    window_bytes,
)

_LICENCE = re.compile(r"^licen[sc]e(?:_name)?\s*:\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_FRONT_MATTER = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*\n", re.DOTALL)
_CARD_BYTES = 65536
_HOUR = 3600.0
_BYTES = 4
# A head, a decoder or the other half of a larger model has names of its own.
_PARTS = re.compile(r"^(?:model\.)?[^.]+")


@dataclass(frozen=True)
class LocalModel:
    """One model that lies here.

    Attributes
    ----------
    source : str
        What ``--model`` takes.
    place : str
        ``"hub cache"``, ``"folder"`` or ``"store"``.
    family : str
        Its title; of an adapter, "adapter of" and its base.
    n_layers, n_features : int or None
        None where the configuration does not tell them.
    frame_rate_hz : float or None
    n_bytes : int
        Of its weights.
    licence : str
        As its card says; empty where there is none.
    problem : str
        Why it cannot be opened; empty where its files are in order.
    """

    source: str
    place: str
    family: str
    n_layers: int | None
    n_features: int | None
    frame_rate_hz: float | None
    n_bytes: int
    licence: str
    problem: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def find_cached(cache: Path) -> list[LocalModel]:
    """List the models of speech in a cache of the hub, and those that are not complete.

    Parameters
    ----------
    cache : Path
        The folder that holds ``models--OWNER--NAME``.

    Returns
    -------
    list of LocalModel
        By name. Models of text and images are left out.
    """
    found = []
    for cached in sorted(cache.glob(f"{CACHED}*")):
        try:
            folder, _, _ = find_folder(str(cached), None, with_weights=True)
        except BraindashError:
            snapshots = sorted((cached / "snapshots").glob("*"))
            if not snapshots:
                continue
            folder = snapshots[-1]
        model = summarise(folder, hub_id_of(cached.name), "hub cache")
        if model is not None:
            found.append(model)
    return found


def find_in_folders(folders: Iterable[Path]) -> list[LocalModel]:
    """List the models in folders, and in the folders directly inside them."""
    seen: dict[Path, LocalModel] = {}
    for folder in folders:
        for one in (folder, *sorted(path for path in folder.glob("[!.]*") if path.is_dir())):
            if one.name.startswith(CACHED):
                continue
            model = summarise(one, str(one), "folder")
            if model is not None:
                seen.setdefault(one.resolve(), model)
        for model in find_cached(folder):
            cached = folder / (CACHED + model.source.replace("/", "--"))
            seen.setdefault(cached.resolve(), _placed(model, str(cached)))
    return list(seen.values())


def _placed(model: LocalModel, source: str) -> LocalModel:
    return LocalModel(**(model.as_dict() | {"source": source, "place": "folder"}))


def summarise(folder: Path, source: str, place: str) -> LocalModel | None:
    """Describe the model in a folder; None where there is none, or none of speech.

    Parameters
    ----------
    folder : Path
    source : str
        What ``--model`` takes.
    place : str
    """
    if (folder / ADAPTER_CONFIG).exists():
        return _adapter(folder, source, place)
    if not (folder / "config.json").exists() and not (folder / "config.json").is_symlink():
        return None
    try:
        config = read_config(folder)
        family = find_family(folder, config)
        common = common_names(config, family)
    except BraindashError as error:
        if not _speaks(folder):
            return None
        return LocalModel(source, place, "", None, None, None, 0, licence_of(folder), error.message)
    n_bytes, problem = 0, ""
    try:
        n_bytes = sum(path.stat().st_size for path in find_weights(folder, family))
    except BraindashError as error:
        problem = error.message
    rate = SAMPLE_RATE_HZ / geometry_of(family, common).hop
    size = int(common["num_hidden_layers"]) + 1, int(common["hidden_size"])
    return LocalModel(
        source, place, family.title, *size, rate, n_bytes, licence_of(folder), problem
    )


def _adapter(folder: Path, source: str, place: str) -> LocalModel:
    problem, base = "", "an unnamed base"
    try:
        base = str(read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or base)
    except BraindashError as error:
        problem = error.message
    weights = [folder / name for name in ADAPTER_FILES if (folder / name).is_file()]
    n_bytes = sum(path.stat().st_size for path in weights[:1])
    problem = problem or ("" if weights else f"it lacks {' or '.join(ADAPTER_FILES)}")
    family = f"adapter of {base}"
    return LocalModel(source, place, family, None, None, None, n_bytes, licence_of(folder), problem)


def _speaks(folder: Path) -> bool:
    """Say whether a folder that cannot be opened is that of a model of sound."""
    if (folder / "config.json").is_symlink() and not (folder / "config.json").exists():
        return True
    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            text = (folder / name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        if "sampling_rate" in text:
            return True
    return False


def licence_of(folder: Path) -> str:
    """Return the licence that a model's card names; empty where it names none."""
    try:
        with (folder / CARD).open("rb") as stream:
            text = stream.read(_CARD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    head = _FRONT_MATTER.match(text)
    named = _LICENCE.findall(head[1]) if head else []
    # "other" has its name on a line of its own.
    return next((one for one in reversed(named) if one.lower() != "other"), "".join(named[:1]))


# ---- one model, explained -----------------------------------------------------------------------


def explain(files: ModelFiles) -> dict[str, Any]:
    """Tell what a model is and costs, from its files alone.

    Parameters
    ----------
    files : ModelFiles
        A speech model.

    Returns
    -------
    dict
        JSON values; lines for people are made of them by :func:`explained_lines`.
    """
    family = FAMILIES[files.family]
    geometry = geometry_of(family, files.config)
    base = files if files.base is None else files.base
    costs = {
        name: {
            "context_seconds": context_seconds(name, files.padded_samples),
            "hours_per_hour_on_one_core": extraction_seconds(files, _HOUR, name) / _HOUR,
            "window_bytes": window_bytes(files, name),
        }
        for name in STRATEGIES
    }
    return {
        "name": files.name,
        "family": family.title,
        "folder": str(files.folder),
        "fingerprint": files.fingerprint,
        "base": None if files.base is None else files.base.name,
        "n_layers": files.n_layers,
        "n_features": files.n_features,
        "n_parameters": round(n_parameters(files)),
        "model_bytes": round(n_parameters(files)) * _BYTES,
        "file_bytes": sum(path.stat().st_size for path in files.weights),
        "stored_as": sorted({one.kind for one in headers(files.weights).values()}),
        "left_out": left_out(base),
        "language": files.language,
        "languages": languages_in(base.folder),
        "normalise": files.normalise,
        "hop_samples": geometry.hop,
        "frame_rate_hz": SAMPLE_RATE_HZ / geometry.hop,
        "first_frame_samples": geometry.first,
        "frame": family.frame,
        "context": family.context,
        "strategies": costs,
        "tunable": family.tunable,
        "licence": licence_of(files.folder) or licence_of(base.folder),
    }


def left_out(files: ModelFiles) -> list[str]:
    """Name the parts of a checkpoint that are not the encoder, from the names of its weights."""
    family = FAMILIES[files.family]
    inside = tuple(parent for parent in family.parents if parent)
    names = list(headers(files.weights))
    if not any(name.startswith(inside) for name in names):
        return []
    others = (name for name in names if not name.startswith(inside))
    parts = dict.fromkeys(found[0] for name in others if (found := _PARTS.match(name)))
    return list(parts)


def explained_lines(told: dict[str, Any]) -> list[str]:
    """Say in a few lines what :func:`explain` found."""
    last = told["n_layers"] - 1
    what = "adapter" if told["language"] is None else f"language {told['language']}"
    base = f", {what} of {told['base']}" if told["base"] else ""
    lines = [
        f"{told['name']}: {told['family']}{base}",
        f"licence: {told['licence'] or 'not said in its files'}",
        f"layers: 0 to {last} of width {told['n_features']}; 0 is the input of the first block, "
        f"{last} what the encoder returns",
        f"frames: {told['frame_rate_hz']:.4g} per second, one every {told['hop_samples']} samples; "
        f"one frame is {told['frame']}",
        f"a frame has heard {told['context']}; the shortest sound has "
        f"{told['first_frame_samples']} samples",
    ]
    for name, cost in told["strategies"].items():
        lines.append(
            f"{name}: windows of {cost['context_seconds']:.4g} s; an hour of sound takes about "
            f"{_span(cost['hours_per_hour_on_one_core'] * _HOUR)} on one core, and "
            f"{_size(told['model_bytes'] + cost['window_bytes'])} of memory "
            f"({_count(told['n_parameters'])} weights in float32)"
        )
    stored = f" as {', '.join(told['stored_as'])}" if told["stored_as"] else ""
    lines.append(f"weights: {_size(told['file_bytes'])} on the disk{stored}")
    if told["left_out"]:
        lines.append(f"left out: {', '.join(told['left_out'])}")
    if told["languages"]:
        used = told["language"] or "the one that the weights hold"
        lines.append(
            f"language: {used}; {len(told['languages'])} lie beside it, chosen as MODEL@LANG: "
            f"{shown_languages(told['languages'])}"
        )
    if not told["tunable"]:
        lines.append("brain-tuning does not know this family; scores and probes do")
    return lines


def _span(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _count(number: int) -> str:
    return f"{number / 1e6:.3g} million" if number >= 1e6 else f"{number:,}"


def _size(n_bytes: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"
