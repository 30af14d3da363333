"""Labels of whole recordings: Speech Commands, SLURP (intents), CREMA-D (emotions)."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from braindash.errors import InputError
from braindash.io.labels import Labels, Segment, make_labels
from braindash.io.labels_audio import find_audio
from braindash.io.labels_checks import some
from braindash.io.labels_intervals import SENTENCE, WORD

_BACKGROUND = "_background_noise_"
_COMMAND_SPLITS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
_HASH = re.compile(r"(.+)_nohash_\d+$")

_SLURP_SPLITS = {"train": "train", "train_synthetic": "train", "devel": "valid", "test": "test"}
_SLURP_TIERS = ("intent", "scenario", "action", SENTENCE)
_SLURP_SPEAKERS = "metadata.json"

_EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
# One file of the corpus is named X for XX.
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
_CREMAD_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
_CREMAD_AUDIO = "AudioWAV"


def read_speech_commands(folder: Path | str) -> Labels:
    """Read Speech Commands (Warden 2018), version 0.01 or 0.02.

    Parameters
    ----------
    folder : path
        Holds a folder for every word, ``validation_list.txt`` and ``testing_list.txt``. The
        background noises are left out.

    Returns
    -------
    Labels
        Tier ``"word"``; the speaker is the hash before ``_nohash_``. What stands in neither list
        trains.

    Raises
    ------
    InputError
        A list is missing, there is no audio, or what :func:`braindash.io.labels.make_labels`
        refuses.
    """
    folder = Path(folder).expanduser()
    found = find_audio(folder)
    audio = {name: path for name, path in found.items() if "/" in name and _BACKGROUND not in name}
    splits = {
        entry: split
        for split, file in _COMMAND_SPLITS.items()
        for entry in _listed_recordings(folder / file)
    }
    told = []
    lacking = sorted(set(splits) - set(audio))
    if lacking:
        told.append(f"{len(lacking)} recordings of the lists are missing: {some(lacking)}")
    segments = [
        Segment(name, 0.0, None, word, WORD, _command_speaker(name), splits.get(name, "train"))
        for name in audio
        for word in [name.split("/")[-2]]
    ]
    return make_labels(f"Speech Commands in {folder}", segments, audio, told)


def read_slurp(annotations: Path | str, *, audio: Path | str, synthetic: bool = False) -> Labels:
    """Read SLURP (Bastianelli et al. 2020).

    Parameters
    ----------
    annotations : path
        Folder of ``train.jsonl``, ``devel.jsonl``, ``test.jsonl`` (``dataset/slurp`` of the
        corpus), and of ``metadata.json``, which names the speakers. Or one such file.
    audio : path
        Folder of the recordings, such as ``audio/slurp_real``.
    synthetic : bool, default False
        Take ``train_synthetic.jsonl``, whose speech is synthetic, as well.

    Returns
    -------
    Labels
        Tiers ``"intent"``, ``"scenario"``, ``"action"`` and ``"sentence"``. A sentence has several
        recordings, all in one split; the speakers of the splits overlap.

    Raises
    ------
    InputError
        No annotation, one that is damaged, no audio, or what
        :func:`braindash.io.labels.make_labels` refuses.
    """
    annotations = Path(annotations).expanduser()
    folder = annotations if annotations.is_dir() else annotations.parent
    names = [name for name in _SLURP_SPLITS if synthetic or name != "train_synthetic"]
    files = [annotations] if annotations.is_file() else [folder / f"{n}.jsonl" for n in names]
    files = [file for file in files if file.is_file()]
    if not files:
        raise InputError(
            f"{annotations} holds none of {', '.join(f'{name}.jsonl' for name in names)}",
            hint="Give the folder dataset/slurp of the corpus.",
        )
    found = find_audio(Path(audio).expanduser())
    recording_of = {path.name: name for name, path in found.items()}
    speakers = _slurp_speakers(folder / _SLURP_SPEAKERS)
    segments: list[Segment] = []
    for file in files:
        split = _SLURP_SPLITS.get(file.stem)
        for entry in _slurp_entries(file):
            for name in entry["files"]:
                recording, speaker = recording_of.get(name, name), speakers.get(name)
                segments += [
                    Segment(recording, 0.0, None, entry[tier], tier, speaker, split)
                    for tier in _SLURP_TIERS
                ]
    if annotations.is_file():
        # The folder of the audio holds the other splits as well; they lack no labels.
        used = {segment.recording for segment in segments}
        found = {name: path for name, path in found.items() if name in used} or found
    return make_labels(f"SLURP in {annotations}", segments, found)


def read_cremad(folder: Path | str) -> Labels:
    """Read CREMA-D (Cao et al. 2014), whose labels are the names of its files.

    Parameters
    ----------
    folder : path
        The corpus, or its folder ``AudioWAV`` of files such as ``1001_DFA_ANG_XX.wav``: actor,
        sentence, emotion and level.

    Returns
    -------
    Labels
        Tiers ``"emotion"`` (the one that was acted), ``"level"`` and ``"sentence"`` (its code).
        There are no splits; the speaker is the actor.

    Raises
    ------
    InputError
        No file has such a name, or what :func:`braindash.io.labels.make_labels` refuses.
    """
    folder = Path(folder).expanduser()
    if (folder / _CREMAD_AUDIO).is_dir():
        folder = folder / _CREMAD_AUDIO
    found = find_audio(folder)
    audio, strange, segments = {}, [], []
    for name, path in found.items():
        match = _CREMAD_NAME.fullmatch(name.rpartition("/")[2])
        if not match or match[3] not in _EMOTIONS or match[4] not in _LEVELS:
            strange.append(name)
            continue
        audio[name] = path
        actor, sentence, emotion, level = match.groups()
        labels = {"emotion": _EMOTIONS[emotion], "level": _LEVELS[level], SENTENCE: sentence}
        segments += [Segment(name, 0.0, None, labels[tier], tier, actor) for tier in labels]
    if not audio:
        raise InputError(
            f"no file in {folder} is named as CREMA-D's are: {some(strange)}",
            hint="Names are ACTOR_SENTENCE_EMOTION_LEVEL, such as 1001_DFA_ANG_XX.wav.",
        )
    told = []
    if strange:
        told.append(f"{len(strange)} files are named otherwise and left out: {some(strange)}")
    return make_labels(f"CREMA-D in {folder}", segments, audio, told)


def _listed_recordings(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(
            f"the list {path} is missing, so that the splits of Speech Commands are unknown",
            hint=f"The corpus has {' and '.join(_COMMAND_SPLITS.values())}; unpack all of it.",
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip().rpartition(".")[0] for line in lines if line.strip()]


def _command_speaker(name: str) -> str | None:
    match = _HASH.fullmatch(name.rpartition("/")[2])
    return match[1] if match else None


def _slurp_entries(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            texts = {name: entry[name] for name in _SLURP_TIERS}
            files = [recording["file"] for recording in entry["recordings"]]
            if not all(isinstance(value, str) for value in (*texts.values(), *files)):
                raise ValueError("a label is no text")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number} is no entry of SLURP: {type(error).__name__}: {error}",
                hint=f"An entry is a JSON object with {', '.join(_SLURP_TIERS)} and recordings, "
                "each with its file.",
            ) from error
        yield texts | {"files": files}


def _slurp_speakers(path: Path) -> dict[str, str]:
    """Read who speaks in each file; empty without the corpus's metadata."""
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8")).values()
        return {
            name: str(recording["usrid"])
            for entry in entries
            for name, recording in entry["recordings"].items()
            if "usrid" in recording
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no metadata of SLURP: {type(error).__name__}: {error}",
            hint="Copy it again, or move it away to read the labels without speakers.",
        ) from error
