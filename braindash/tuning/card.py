"""The model card of a tuned model (``README.md``), written from its record."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from braindash.errors import InputError
from braindash.files import replace_text
from braindash.references import tuning_references, written
from braindash.specs import TuningSettings
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.speech.checkpoints.listing import licence_of
from braindash.speech.checkpoints.places import CARD, is_hub_id
from braindash.tuning.controls import STAND_INS
from braindash.tuning.record import adapter_words, head_words, read_record

_MARK = f"<!-- Written by braindash from {TUNING_RECORD}. -->"
_HOUR = 3600.0
# What the hub takes as a licence's name.
_LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,40}")
_CONTROLS = {
    "shuffled": "rows of responses in another order",
    "other-story": "responses to another story",
    "text": "vectors of the spoken text in place of responses",
    "language-model": "a layer of a text model, word by word, in place of responses",
    "speech-model": "a layer of another speech model in place of responses",
    "stimulus": "what hidden frames of the sound are, in place of responses",
    "joint": "responses, and what hidden frames of the sound are as well",
    "random-init": "random weights to begin with",
}
_METHOD_FIELDS = (
    *("window_trs", "segment_trs", "attention_trs", "encoder_rate", "head_rate", "batch_rows"),
    *("epochs", "patience", "keep", "dropout", "precision", "seed"),
)
# In place of which a number of steps was asked for.
_BY_EPOCHS = frozenset({"epochs", "patience", "keep"})


def card_text(
    record: Mapping[str, Any], *, licence: str = "", controls: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Write the card of a tuned model.

    Parameters
    ----------
    record : mapping
        Content of its ``tuning.json``.
    licence : str, optional
        Of the base; the one that the record names when left out.
    controls : sequence of mapping, optional
        Records of controls of the same base, data and subjects: their scores stand beside.
    """
    known = licence or str(record["base"].get("licence") or "")
    parts = [
        _front_matter(record, known),
        _MARK,
        _opening(record),
        _data(record),
        _method(record),
        _scores(record, controls),
        _limits(record, known),
        _use(record),
        _cite(record),
    ]
    return "\n\n".join(parts) + "\n"


def write_card(folder: Path, *, licence: str = "", replace: bool = False) -> Path:
    """Write the card of the tuned model in a folder; one that braindash wrote is replaced.

    Parameters
    ----------
    folder : Path
        Holds ``tuning.json``; controls in the folders beside it are named with their scores.
    licence : str, optional
        Of the base, where its files do not say it.
    replace : bool, default False
        Replace a card that somebody else wrote as well.

    Raises
    ------
    InputError
        There is no record that can be read, or somebody else's card.
    """
    try:
        record = read_record(folder)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not the folder of a tuned model: {error}",
            hint=f"Give a folder that `braindash tune` wrote: it holds {TUNING_RECORD}.",
        ) from error
    place = folder / CARD
    if place.is_file() and not replace and _MARK not in place.read_text("utf-8", "replace"):
        raise InputError(
            f"{place} was written by somebody else",
            hint="Give --replace to write a new one in its place, or keep it.",
        )
    base = Path(str(record["base"].get("source") or ""))
    found = licence or (licence_of(base) if base.is_absolute() else "")
    text = card_text(record, licence=found, controls=controls_beside(folder, record))
    replace_text(place, text)
    return place


def controls_beside(folder: Path, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of controls of the same base, data and subjects, in folders beside."""
    if record["spec"]["control"] != "none":
        return []
    found = []
    for path in sorted(folder.parent.glob(f"*/{TUNING_RECORD}")):
        try:
            other = read_record(path.parent)
        except (OSError, ValueError):  # damaged: `braindash list` names it
            continue
        if other["spec"]["control"] != "none" and _alike(record, other):
            found.append(other)
    return found


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def of(record: Mapping[str, Any]) -> tuple[Any, ...]:
        return record["base"]["fingerprint"], record["data"].get("name")

    # What stands in for responses belongs to no subject.
    fits = other["spec"]["control"] in STAND_INS or (
        one["spec"]["subjects"] == other["spec"]["subjects"]
    )
    return of(one) == of(other) and fits


# ---- parts of the card ----------------------------------------------------------------------


def _front_matter(record: Mapping[str, Any], licence: str) -> str:
    adapter = record["spec"]["settings"]["adapter"] is not None
    tags = ["speech", "audio", "fmri", "brain-tuning", "brain-alignment", "braindash"]
    tags += ["lora"] if adapter else []
    tags += ["simulated"] if record["data"]["simulated"] else []
    tags += ["control"] if record["spec"]["control"] != "none" else []
    lines = []
    name = licence.lower()
    if _LICENCE_NAME.fullmatch(name):
        lines.append(f"license: {name}")
    elif licence:
        lines += ["license: other", f"license_name: {json.dumps(licence)}"]
    base = str(record["base"]["name"])
    if record["base"].get("revision") and is_hub_id(base):
        lines.append(f"base_model: {json.dumps(base)}")
        lines.append(f"base_model_relation: {'adapter' if adapter else 'finetune'}")
    data = str(record["data"].get("name", ""))
    if "/" in data and is_hub_id(data):
        lines += ["datasets:", f"- {json.dumps(data)}"]
    lines.append(f"library_name: {'peft' if adapter else 'transformers'}")
    lines.append("pipeline_tag: feature-extraction")
    lines += ["tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join(["---", *lines, "---"])


def _opening(record: Mapping[str, Any]) -> str:
    base, spec = _plain(record["base"]["name"]), record["spec"]
    stamp = (
        "**SIMULATED DATA: the responses come from a generator; no evidence about brains.**\n\n"
        if record["data"]["simulated"]
        else ""
    )
    control = spec["control"]
    what = "brain-tuned"
    if control != "none":
        told = _CONTROLS.get(control, control)
        stamp += f"**This is a CONTROL ({control}: {told}), not a brain-tuned model.**\n\n"
        what = f"control ({control})"
    return (
        f"# {base}, {what}\n\n{stamp}{base} {_taught(record)} The heads are not part of this "
        "model; it is a speech encoder like its base."
    )


def _taught(record: Mapping[str, Any]) -> str:
    """Say in a sentence or two what the model learnt."""
    control = record["spec"]["control"]
    if control == "stimulus":
        return (
            "was tuned on the sound alone: half of the frames were hidden from the transformer, "
            "which learnt in which cluster of mel-frequency cepstral coefficients each is."
        )
    what = "to predict fMRI responses to speech"
    if control in STAND_INS:
        what = f"to predict {_CONTROLS[control]}"
    return (
        f"was taught {what}: the audio before each row of them goes through the model, and the "
        f"mean of its last layer predicts the row with {head_words(record)}."
    )


def _data(record: Mapping[str, Any]) -> str:
    stories, spec = record["stories"], record["spec"]
    subjects = spec.get("subjects") or list(record["targets"])
    train, validation = stories["train"], stories["validation"]
    hours = _hours(spec.get("train", ()), train)
    lines = [
        f"- Data set: {_plain(record['data'].get('name', 'not named'))}",
        f"- Subjects ({len(subjects)}): {_listed(subjects)}",
        f"- Training: {len(train)} stories{hours}, {sum(train.values()):,} rows of "
        f"{'targets' if spec['control'] in STAND_INS else 'responses'}: {_listed(train)}",
        f"- Validation{_chose(record, ', which chose the epoch')}: {_listed(validation)}",
        f"- Never trained on: {_listed(stories['never_trained_on']) or 'none kept back'}",
    ]
    for subject, told in record["targets"].items():
        of = f" of {told['n_of']:,}" if told.get("n_of") else ""
        least = "" if told.get("threshold") is None else f", above {told['threshold']:g}"
        where = f" in {_listed(told['regions'])}" if told.get("regions") else ""
        lines.append(
            f"- Targets of {_plain(subject)}: {told['n_targets']:,}{of}, chosen by {told['rule']}"
            f"{least}{where}"
        )
    return "## Training data\n\n" + "\n".join(lines)


def _chose(record: Mapping[str, Any], told: str) -> str:
    """Say what validation chose; empty where the number of steps was given, or the last is kept."""
    settings = record["spec"]["settings"]
    chosen = settings.get("steps") is None and settings.get("keep", "best") == "best"
    return told if chosen else ""


def _hours(stories: Iterable[Mapping[str, Any]], names: Mapping[str, int]) -> str:
    """Say how much sound the training stories are, each counted once; empty where unknown."""
    seconds = {}
    for one in stories:
        times = one.get("times", {})
        if one.get("name") in names and {"tr", "n_rows"} <= set(times):
            seconds[one["name"]] = float(times["tr"]) * float(times["n_rows"])
    if len(seconds) < len(names):
        return ""
    total = sum(seconds.values())
    return f" ({total / _HOUR:.2g} hours)" if total >= _HOUR else f" ({total / 60:.2g} minutes)"


def _method(record: Mapping[str, Any]) -> str:
    settings = record["spec"]["settings"]
    adapter = settings["adapter"]
    how = (
        "all weights behind the convolutional front end"
        if adapter is None
        else f"low-rank adapters of rank {adapter['rank']}"
    )
    left_out = _BY_EPOCHS if settings.get("steps") is not None else frozenset()
    names = [name for name in ("steps", *_METHOD_FIELDS) if name not in left_out]
    rows = [f"| {name} | {value} | {TuningSettings.model_fields[name].description} |"
            for name in names if (value := settings.get(name)) is not None]  # fmt: skip
    head = "| setting | value | meaning |\n| --- | --- | --- |\n"
    strengths = adapter_words(record)
    told = f"\n\n{_plain(strengths)} (0 before training)." if strengths else ""
    opening = f"Trained: {how}. Loss: {settings['loss']}.{told}"
    return f"## Method\n\n{opening}\n\n{head}" + "\n".join(rows)


def _scores(record: Mapping[str, Any], controls: Sequence[Mapping[str, Any]]) -> str:
    history, kept = record["history"], record["kept_epoch"]
    subjects = list(history[0]["validation_r"])
    head = "| epoch | training loss | " + " | ".join(f"r, {_plain(one)}" for one in subjects) + " |"
    lines = [head, "| --- " * (len(subjects) + 2) + "|"]
    for one in history:
        mark = " (kept)" if one["epoch"] == kept else " (before)" if one["epoch"] == 0 else ""
        loss = "-" if one["loss"] is None else f"{one['loss']:.4f}"
        scores = " | ".join(f"{one['validation_r'][name]:.4f}" for name in subjects)
        lines.append(f"| {one['epoch']}{mark} | {loss} | {scores} |")
    own = record["spec"]["control"]
    named = [(record, "this model" if own == "none" else f"this control ({own})")]
    named += [(one, _named_control(one)) for one in controls]
    # Records of earlier versions do not say how many steps there were.
    counted = any(_kept_steps(one) is not None for one, _ in named)
    steps = "steps | " if counted else ""
    beside = [
        f"| model | epoch kept | {steps}mean validation r before | after |",
        "| --- " * (4 + counted) + "|",
        *(_outcome(one, name, counted) for one, name in named),
    ]
    none = "" if controls or own != "none" else (
        "\n\nNo control lies beside this model: a gain that a control shows too is not about the "
        "brain."
    )  # fmt: skip
    return (
        "## Scores in training\n\nr: correlation of predicted and measured responses on the "
        "validation stories, mean over targets; epoch 0 is the base.\n\n"
        + "\n".join(lines) + "\n\n### Controls\n\n" + "\n".join(beside) + none
    )  # fmt: skip


def _named_control(record: Mapping[str, Any]) -> str:
    """Name a control; r of what stands in for responses is no r of responses."""
    own = ", r of its own targets" if record["spec"]["control"] in STAND_INS else ""
    return f"control: {record['spec']['control']}{own}"


def _kept_steps(record: Mapping[str, Any]) -> int | None:
    steps = record.get("steps")
    return steps.get("kept") if isinstance(steps, dict) else None


def _outcome(record: Mapping[str, Any], name: str, counted: bool) -> str:
    history = {one["epoch"]: one for one in record["history"]}
    means = [float(np.mean(list(history[epoch]["validation_r"].values())))
             for epoch in (0, record["kept_epoch"]) if epoch in history]  # fmt: skip
    before, after = (means[0], means[-1]) if means else (float("nan"), float("nan"))
    steps = _kept_steps(record)
    told = f"{'-' if steps is None else steps} | " if counted else ""
    return f"| {name} | {record['kept_epoch']} | {told}{before:.4f} | {after:.4f} |"


def _limits(record: Mapping[str, Any], licence: str) -> str:
    lines = []
    if record["data"]["simulated"]:
        lines.append("The responses were simulated: nothing about brains follows.")
    if record.get("test_story_chose_targets"):
        lines.append("The test story chose the targets: their scores on it are selected.")
    if not record["improved"]:
        lines.append("No epoch was better than the base on the validation stories.")
    lines += [
        _chose(
            record,
            "Validation r chose the epoch, so it is too high as an estimate for new stories. ",
        )
        + "Only stories that were never trained on tell what tuning changed.",
        "Fitted to the voices, language and recordings of these stories; other sound was not "
        "tried in training.",
        "Heads for speech recognition of the base are not part of it, or do not fit any more.",
    ]
    if licence:
        lines.append(f"The base is under the licence {_plain(licence)}, which holds for this too.")
    else:
        lines.append("The licence of the base is not known: look it up before you share this.")
    lines += [_plain(one) for one in record["warnings"]]
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _use(record: Mapping[str, Any]) -> str:
    return (
        "## Use\n\n```sh\nbraindash encode --data manifest.toml --model ./THIS_FOLDER --subject S1"
        "\n```\n\nIts folder opens wherever braindash asks for a model; "
        f"`{TUNING_RECORD}` holds the whole record (braindash "
        f"{_plain(record.get('versions', {}).get('braindash', 'of unknown version'))})."
    )


def _cite(record: Mapping[str, Any]) -> str:
    return "## Cite\n\n" + "\n".join(f"- {work}" for work in written(tuning_references(record)))


def _plain(value: object) -> str:
    """Write a name so that neither Markdown nor HTML takes it for more than a name."""
    text = " ".join(str(value).split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(text, quote=False))


def _listed(names: Iterable[object]) -> str:
    return ", ".join(_plain(name) for name in names)
