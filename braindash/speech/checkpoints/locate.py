"""Find the files of a speech model, or an acoustic space, and fingerprint it, without torch."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from braindash.errors import InputError, ModelError, near_match
from braindash.files import digest_json
from braindash.names import given_path
from braindash.remembered.digests import digest_input
from braindash.specs import Precision
from braindash.speech.acoustic.spaces import ACOUSTIC, find_space
from braindash.speech.checkpoints.families import FAMILIES, Family
from braindash.speech.checkpoints.folders import (
    SAMPLE_RATE_HZ,
    WEIGHTS,
    check_weights,
    common_names,
    computed_part,
    encoder_config,
    find_family,
    find_weights,
    read_config,
    read_json,
    whole_fingerprint,
)
from braindash.speech.checkpoints.languages import (
    find_language,
    language_pattern,
    split_language,
)
from braindash.speech.checkpoints.places import ADAPTER_CONFIG, ADAPTER_FILES, find_folder
from braindash.speech.checkpoints.preprocessing import (
    padded_samples,
    patch_samples,
    read_normalisation,
    read_scale,
)
from braindash.speech.checkpoints.tensors import refuse_quantised
from braindash.speech.language.spaces import (
    absolute_language,
    find_language_space,
    is_language,
    refuse_revision,
)

__all__ = [
    "SAMPLE_RATE_HZ",
    "ModelFiles",
    "Precision",
    "absolute_source",
    "locate",
    "pinned_revision",
    "require_precision",
]

UNTRAINED, SHUFFLED = "untrained", "shuffled"

_SEED = re.compile(r"(?P<model>.+)@(?P<seed>\d{1,9})")
# Fields of an adapter's configuration that change nothing once it is merged.
_BOOKKEEPING = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "lora_dropout",
        "parent_library",
        "peft_version",
        "revision",
        "task_type",
    }
)


@dataclass(frozen=True)
class ModelFiles:
    """A speech model on disk, found and checked but not loaded; or another feature space.

    Parameters
    ----------
    source : str
        What the user gave: a folder, a hub id, one of the two with a language
        (``FOLDER_OR_ID@LANG``), ``untrained:FOLDER_OR_ID[@SEED]``, ``acoustic:NAME``,
        ``words:FILE`` or ``text:FOLDER``.
    name : str
        Short name for tables and figures: the hub id, the name of the folder (behind
        ``untrained:`` and with the seed for such a control) or ``acoustic:NAME``.
    revision : str or None
        Commit of a hub model or version of an acoustic space; None for a local folder.
    folder : Path
        Where the files lie (an adapter's own folder); an acoustic space has none, and the empty
        path stands here.
    family : str
        Key of :data:`braindash.speech.checkpoints.families.FAMILIES`, ``"acoustic"``, or one of
        :data:`braindash.speech.language.spaces.LANGUAGE`.
    config : mapping
        Content of ``config.json``; the size of the model stands under ``num_hidden_layers`` and
        ``hidden_size`` for every family and for acoustic spaces.
    normalise : bool
        True when each window of audio must be brought to zero mean and unit variance.
    weights : tuple of Path
        The files that hold the weights: of the base and of the adapter; none for an untrained
        control.
    fingerprint : str
        Digest of what the model computes: configuration, normalisation and weights. Folder,
        name and revision play no part. Weights count by the bytes of their files, so the same
        numbers stored otherwise (in other parts, another precision or under older names of the
        positional convolution) have another fingerprint: equal fingerprints mean equal features,
        while different ones need not mean different features. An adapter's takes in its base's,
        and so does that of a model whose language was chosen;
        an untrained control's is made from configuration, seed and the version of transformers,
        which draws the weights. An acoustic space counts by its parts, their versions and settings.
    base : ModelFiles or None
        The model that an adapter, or a chosen language, changes; None for all others.
    seed : int or None
        Seed of an untrained control; None for all others.
    precision : {"float32", "bf16", "fp16"}
        Arithmetic of the encoder, part of the fingerprint unless it is float32.
    shuffled : int or None
        Seed by which the weights of every tensor are put into another order; None for all others.
    scale : mapping
        How the spectrogram is scaled, where the family leaves that to the checkpoint (AST).
    language : str or None
        Of the language adapter that was chosen; None where the one in the weights is used.
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
    base: "ModelFiles | None" = None
    seed: int | None = None
    precision: Precision = "float32"
    shuffled: int | None = None
    scale: Mapping[str, Any] = field(default_factory=dict, compare=False)
    language: str | None = None

    @property
    def is_speech(self) -> bool:
        """Whether it is a speech model, which hears windows of sound; no other feature space."""
        return self.family in FAMILIES

    @property
    def n_layers(self) -> int:
        """Layers of a feature array: the input of the first block, and one per block."""
        return int(self.config["num_hidden_layers"]) + 1

    @property
    def n_features(self) -> int:
        """Width of every layer."""
        return int(self.config["hidden_size"])

    @property
    def padded_samples(self) -> int | None:
        """Samples to which every window is padded (480000 for Whisper); None where it is not."""
        family = FAMILIES.get(self.family)
        if family is None or not family.padded:
            return None
        patches = family.front == "patches"
        return patch_samples(self.config) if patches else padded_samples(self.config)


def locate(
    source: str | Path, revision: str | None = None, *, precision: Precision = "float32"
) -> ModelFiles:
    """Find a speech model's files and fingerprint them.

    Parameters
    ----------
    source : str or Path
        A local folder of a whole model or of a low-rank adapter, or a Hugging Face hub id such as
        ``"facebook/hubert-base-ls960"``. A folder that exists wins over a hub id of the same
        spelling. The environment variable ``HF_HUB_OFFLINE`` is honoured.
        ``"SOURCE@LANG"`` puts the adapter of a language beside the weights
        (``adapter.LANG.safetensors``, as of MMS) in place of the one that they hold.
        ``"untrained:SOURCE"`` is the same configuration with random weights, drawn from seed 0 or
        from the one in ``"untrained:SOURCE@SEED"``; ``"shuffled:SOURCE@SEED"`` has the weights of
        every tensor in another order; ``"acoustic:NAME"`` is always one of
        :func:`braindash.speech.acoustic.spaces.known_spaces`, ``"words:FILE"`` and
        ``"text:FOLDER"`` are spaces of words (:mod:`braindash.speech.language.spaces`).
    revision : str, optional
        Branch, tag or commit of a hub id.
    precision : {"float32", "bf16", "fp16"}, default "float32"
        Arithmetic of the encoder; all but float32 need a CUDA device and give other features.

    Returns
    -------
    ModelFiles

    Raises
    ------
    ModelError
        When the model cannot be found, has no weights, or is of a family not supported.
    InputError
        For a revision of something that has none, or an unknown precision.
    """
    text = str(source)
    allowed = get_args(Precision)
    if precision not in allowed:
        raise InputError(
            f"there is no precision {precision!r}", hint=near_match(precision, allowed)
        )
    if is_acoustic(text):
        return _acoustic_space(text, revision)
    if is_language(text):
        return _language_space(text, revision)
    prefix, colon, rest = text.partition(":")
    if colon and prefix.lower() == UNTRAINED:
        files = _untrained(text, rest, revision)
    elif colon and prefix.lower() == SHUFFLED:
        files = _shuffled(text, rest, revision)
    else:
        files = _trained(text, revision)
    if precision == "float32":
        return files
    mixed = digest_json({"model": files.fingerprint, "precision": precision})
    return replace(files, precision=precision, fingerprint=mixed)


def absolute_source(source: str | Path, files: ModelFiles) -> str:
    """Write the folder in a model's source as an absolute path; others stay as they are.

    Parameters
    ----------
    source : str or Path
        What :func:`locate` was given.
    files : ModelFiles
        What it found.
    """
    text = str(source)
    if files.revision is not None:
        return text
    if is_language(text):
        return absolute_language(text)
    seed = files.seed if files.shuffled is None else files.shuffled
    control, place = "", text
    if seed is not None:
        control, _, place = text.partition(":")
        if not given_path(place, exact=True).is_dir():
            place = place.removesuffix(f"@{seed}")
    place, language = split_language(place)
    end = "".join(f"@{one}" for one in (language, seed) if one is not None)
    absolute = given_path(place, exact=True).resolve()
    return f"{control}{':' if control else ''}{absolute}{end}"


def require_precision(files: ModelFiles, device: str) -> None:
    """Refuse mixed precision for a model that is to run on a CPU.

    Parameters
    ----------
    files : ModelFiles
    device : str
        Where it will run; "auto" is not known yet and passes.

    Raises
    ------
    InputError
    """
    if files.precision != "float32" and device == "cpu":
        raise InputError(
            f"the precision {files.precision!r} was asked for, but the model will run on a CPU",
            hint="Use float32, or a CUDA device: on a CPU the others are many times slower, and "
            "they give other features.",
        )


# Whole models, adapters and controls ------------------------------------------------------------


def _trained(text: str, revision: str | None) -> ModelFiles:
    model, language = split_language(text)
    if language is not None:
        return _speaking(text, model, language, revision)
    folder, commit, name = find_folder(text, revision, with_weights=True)
    if (folder / ADAPTER_CONFIG).exists():
        return _adapter(text, folder, commit, name)
    return _whole(text, folder, commit, name)


def _whole(text: str, folder: Path, commit: str | None, name: str) -> ModelFiles:
    known = _known(folder)
    weights = find_weights(folder, known.family)
    refuse_quantised(weights, known.family)
    return ModelFiles(
        source=text,
        name=name,
        revision=commit,
        folder=folder,
        family=known.family.name,
        config=known.common,
        normalise=known.normalise,
        weights=weights,
        fingerprint=whole_fingerprint(known.own, known.normalise, weights, known.scale),
        scale=known.scale,
    )


@dataclass(frozen=True)
class _Known:
    """What the configurations of a folder say.

    Attributes
    ----------
    family : Family
    own : mapping
        What is fingerprinted: the encoder's part of a larger model's configuration, or all of it.
    common : mapping
        The encoder's configuration under common names.
    normalise : bool
    scale : mapping
    """

    family: Family
    own: Mapping[str, Any]
    common: Mapping[str, Any]
    normalise: bool
    scale: Mapping[str, Any]


def _known(folder: Path) -> _Known:
    config = read_config(folder)
    family = find_family(folder, config)
    common = common_names(config, family)
    return _Known(
        family=family,
        own=encoder_config(config, family),
        common=common,
        normalise=read_normalisation(folder, common, family),
        scale=read_scale(folder, family),
    )


def _speaking(text: str, model: str, language: str, revision: str | None) -> ModelFiles:
    """Find a model and the adapter of one of its languages."""
    beside = (language_pattern(language),)
    folder, commit, name = find_folder(model, revision, with_weights=True, beside=beside)
    if (folder / ADAPTER_CONFIG).exists():
        raise ModelError(
            f"{name} is a low-rank adapter, and the language {language!r} was asked for",
            hint="Languages are chosen for whole models: give the adapter alone, or its base with "
            "@LANG.",
        )
    base = _whole(model, folder, commit, name)
    hub = None if commit is None else (model, commit)
    adapter = find_language(folder, base.config, name, language, hub)
    refuse_quantised((adapter,), FAMILIES[base.family])
    return replace(
        base,
        source=text,
        name=f"{name}@{language}",
        weights=(*base.weights, adapter),
        fingerprint=digest_json({"base": base.fingerprint, "language": digest_input(adapter)}),
        base=base,
        language=language,
    )


def _adapter(text: str, folder: Path, commit: str | None, name: str) -> ModelFiles:
    settings = _adapter_settings(folder)
    base = _adapter_base(folder, settings)
    weights = _adapter_weights(folder)
    check_weights(weights)
    merged = {key: value for key, value in settings.items() if key not in _BOOKKEEPING}
    fingerprint = digest_json(
        {"base": base.fingerprint, "adapter": merged, "weights": digest_input(weights)}
    )
    return replace(
        base,
        source=text,
        name=name,
        revision=commit,
        folder=folder,
        weights=(*base.weights, weights),
        fingerprint=fingerprint,
        base=base,
    )


def _adapter_settings(folder: Path) -> dict[str, Any]:
    whole = [name for name in WEIGHTS if (folder / name).exists()]
    # transformers would silently put an adapter lying next to a model on top of its weights.
    if whole:
        raise ModelError(
            f"{folder} holds an adapter ({ADAPTER_CONFIG}) and a whole model ({whole[0]})",
            hint="Move one of them to a folder of its own, so that it is clear which is meant.",
        )
    settings = read_json(folder / ADAPTER_CONFIG)
    if settings.get("peft_type") != "LORA":
        raise ModelError(
            f"{folder / ADAPTER_CONFIG} names the adapter type {settings.get('peft_type')!r}",
            hint="braindash merges adapters of the type 'LORA' (low-rank, by peft). Merge others "
            "yourself (peft: `merge_and_unload()`, then `save_pretrained(FOLDER)`).",
        )
    return settings


def _adapter_weights(folder: Path) -> Path:
    """Find an adapter's weights: safetensors, or what peft wrote before 0.7."""
    found = [folder / name for name in ADAPTER_FILES if os.path.lexists(folder / name)]
    if not found:
        raise ModelError(
            f"{folder} holds an adapter without {' or '.join(ADAPTER_FILES)}",
            hint="Give the folder that peft's `save_pretrained(FOLDER)` wrote, with all its files.",
        )
    return found[0]


def _adapter_base(folder: Path, settings: Mapping[str, Any]) -> ModelFiles:
    """Find the base: as the adapter names it, beside the adapter, or in the hub's cache."""
    named = settings.get("base_model_name_or_path")
    way_out = (
        f"Write the base's folder or hub id into base_model_name_or_path of "
        f"{folder / ADAPTER_CONFIG} (a folder beside the adapter's may be given as ../NAME)."
    )
    if not (isinstance(named, str) and named.strip()):
        raise ModelError(f"the adapter in {folder} does not say what its base is", hint=way_out)
    given = given_path(named, exact=True)
    places = (folder / given, given, folder.parent / given.name, folder / given.name)
    place = next((str(path) for path in places if path.is_dir()), named)
    try:
        files, commit, name = find_folder(
            place, settings.get("revision") or None, with_weights=True
        )
    except (ModelError, InputError) as error:
        raise ModelError(
            f"the base {named!r} of the adapter in {folder} cannot be found: {error.message}",
            hint=f"{way_out} {error.hint}",
        ) from error
    if (files / ADAPTER_CONFIG).exists():
        raise ModelError(
            f"the base {named!r} of the adapter in {folder} holds an adapter itself",
            hint=f"Merge the base first. {way_out}",
        )
    return _whole(named, files, commit, name)


def _model_and_seed(text: str, rest: str, control: str) -> tuple[str, int]:
    """Read what stands behind a control's prefix: a model that has weights, and a seed."""
    match = _SEED.fullmatch(rest)
    whole_is_folder = given_path(rest, exact=True).is_dir()
    model, seed = (
        (match["model"], int(match["seed"])) if match and not whole_is_folder else (rest, 0)
    )
    is_control = model.partition(":")[0].lower() in (UNTRAINED, SHUFFLED) and ":" in model
    if is_acoustic(model) or is_language(model) or is_control or not model:
        raise InputError(
            f"{text!r} names no model that could be trained",
            hint=f"Give {control}:FOLDER or {control}:HUB_ID, if you like with @SEED behind.",
        )
    return model, seed


def _shuffled(text: str, rest: str, revision: str | None) -> ModelFiles:
    """Find a trained model whose weights are shuffled within every tensor once it is read."""
    model, seed = _model_and_seed(text, rest, SHUFFLED)
    files = _trained(model, revision)
    return replace(
        files,
        source=text,
        name=f"{SHUFFLED}:{files.name}@{seed}",
        fingerprint=digest_json({SHUFFLED: files.fingerprint, "seed": seed}),
        shuffled=seed,
    )


def _untrained(text: str, rest: str, revision: str | None) -> ModelFiles:
    model, seed = _model_and_seed(text, rest, UNTRAINED)
    # Random weights know no language.
    model, _ = split_language(model)
    folder, commit, name = find_folder(model, revision, with_weights=False)
    if (folder / ADAPTER_CONFIG).exists() and not (folder / "config.json").exists():
        folder = _adapter_base(folder, read_json(folder / ADAPTER_CONFIG)).folder
    known = _known(folder)
    # Another version of transformers may draw other numbers from the same seed.
    drawn_by = ".".join(version("transformers").split(".")[:2])
    return ModelFiles(
        source=text,
        name=f"{UNTRAINED}:{name}@{seed}",
        revision=commit,
        folder=folder,
        family=known.family.name,
        config=known.common,
        normalise=known.normalise,
        weights=(),
        fingerprint=digest_json(
            {
                UNTRAINED: computed_part(known.own),
                "normalise": known.normalise,
                "seed": seed,
                "transformers": drawn_by,
            }
            | ({"scale": dict(known.scale)} if known.scale else {})
        ),
        seed=seed,
        scale=known.scale,
    )


def pinned_revision(files: ModelFiles) -> str | None:
    """Return the commit that locates a model of the hub again; None for all others."""
    return None if files.family == ACOUSTIC else files.revision


def is_acoustic(source: str) -> bool:
    """Say whether a model's source means an acoustic space: it begins with ``acoustic:``."""
    prefix, colon, _ = source.partition(":")
    return bool(colon) and prefix.lower() == ACOUSTIC


def _language_space(source: str, revision: str | None) -> ModelFiles:
    refuse_revision(source, revision)
    space = find_language_space(source)
    size = {"num_hidden_layers": space.n_layers - 1, "hidden_size": space.n_features}
    return ModelFiles(
        source=source,
        name=space.name,
        revision=None,
        folder=space.folder,
        family=space.family,
        config={"model_type": space.family, **size},
        normalise=False,
        weights=space.files,
        fingerprint=space.fingerprint,
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
