"""Labels of TIMIT (Garofolo et al. 1993): phones, words and sentences, with its core test set."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from braindash.core.phones import fold_timit
from braindash.errors import InputError, near_match
from braindash.files import parse_json, refuse_placeholder
from braindash.io.dataset.tables import Problem, raise_problems
from braindash.io.labels.checks import some
from braindash.io.labels.intervals import PHONE, PROMPT, SENTENCE, WORD
from braindash.io.labels.recordings import check_folder, find_audio, refuse_several
from braindash.io.labels.table import Labels, Segment, make_labels
from braindash.io.texts import lines, read_text, such_rows
from braindash.names import Spellings, existing, files_in, given_path

# Times are sample numbers at this rate, even where a copy of the audio has another.
SAMPLE_RATE_HZ = 16000
# The 24 speakers of the core test set (TIMIT's testset.doc): 2 men and 1 woman of each dialect.
CORE_TEST_SPEAKERS = frozenset(
    "MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0 MBPM0 MKLT0 FNLP0 "
    "MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0".split()
)

_TIERS = {".phn": PHONE, ".wrd": WORD, ".txt": SENTENCE}
# The CD has NIST SPHERE files named .WAV; some copies put a RIFF file SA1.WAV.wav beside.
_AUDIO = (".wav.wav", ".wav", ".flac")
_SAMPLE = re.compile(r"[0-9]{1,12}")
_UTTERANCE = re.compile(r"S[AIX]\d+", re.IGNORECASE)
_READ_BY_ALL = "SA"
_PARTS = ("train", "test")
_PHONE_SETS = (39, 61)
_TEST_SETS = ("core", "complete")


def read_timit(
    folder: Path | str,
    *,
    phones: int = 39,
    test: str = "core",
    with_sa: bool = False,
    prompts: bool = False,
) -> Labels:
    """Read TIMIT, or a part of it.

    Parameters
    ----------
    folder : path
        A folder that holds ``TRAIN`` and ``TEST`` (or one of them), with ``DR1/FCJF0/SX37.PHN``
        and so on in it; upper or lower case.
    phones : {39, 61}, default 39
        39 folds the labels as Lee and Hon (1989) did, closures and pauses to ``"sil"``, and leaves
        out the glottal stop (:func:`braindash.core.phones.fold_timit`); 61 takes them as they are.
    test : {"core", "complete"}, default "core"
        Speakers whose split is ``"test"``. With the core test set the other speakers of ``TEST``
        have no split: they read the same sentences as the core speakers, so that none of them
        should train or validate a probe that is tested there.
    with_sa : bool, default False
        Take the two SA sentences as well, which all speakers read: with them every speaker's
        sentences stand in train and test.
    prompts : bool, default False
        Give every utterance a label for the part of the corpus that it was read from: ``"SA"``
        (dialect), ``"SX"`` (compact) or ``"SI"`` (diverse). Of the SA sentences nothing else is
        taken, unless ``with_sa`` says so.

    Returns
    -------
    Labels
        Tiers ``"phone"``, ``"word"`` (lower case) and ``"sentence"``, with ``prompts`` also
        ``"prompt"``. Neighbouring words may overlap where they share a sound; a warning counts
        them.

    Raises
    ------
    InputError
        Nothing of TIMIT is there, a line is no TIMIT's, a phone is none of TIMIT's where there are
        no words, which need none, or what :func:`braindash.io.labels.table.make_labels` refuses.
    """
    folder = given_path(folder)
    check_folder(folder)
    _check_choice("phones", phones, _PHONE_SETS)
    _check_choice("test", test, _TEST_SETS)
    segments: list[Segment] = []
    sounds: dict[str, list[Path]] = {}
    lacking: list[str] = []
    problems: list[Problem] = []
    unknown: dict[str, list[InputError]] = {}
    for stem, files in _utterances(folder).items():
        kind = stem.name.upper()[:2]
        whole = with_sa or kind != _READ_BY_ALL
        if not whole and not prompts:
            continue
        recording = stem.relative_to(folder).as_posix()
        sounds[recording] = _sounds(files)
        split = _split(folder, stem, test)
        if prompts:
            speaker = stem.parent.name.upper()
            segments.append(Segment(recording, 0.0, None, kind, PROMPT, speaker, split))
        if not whole:
            continue
        labelled = [ending for ending in _TIERS if ending in files]
        if len(labelled) < len(_TIERS):
            lacking.append(recording)
        for ending in labelled:
            folds = unknown if _TIERS[ending] == PHONE and phones == 39 else None
            segments += _readable(files[ending], recording, _TIERS[ending], split, folds, problems)
    refuse_several(sounds)
    audio = {name: paths[0] for name, paths in sounds.items() if paths}
    raise_problems(f"TIMIT in {folder}", problems)
    if not segments:
        raise InputError(
            f"{folder} holds no label file of TIMIT (.PHN, .WRD, .TXT beside .WAV)",
            hint="Give the folder that holds TRAIN and TEST.",
        )
    told = _told_unknown(unknown, segments)
    if lacking:
        told.append(f"{len(lacking)} utterances lack a .PHN, .WRD or .TXT file: {some(lacking)}")
    return make_labels(f"TIMIT in {folder}", segments, audio, told)


def _check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise InputError(
            f"{name} = {value!r} is unknown", hint=near_match(str(value), map(str, allowed))
        )


def _utterances(folder: Path) -> dict[Path, dict[str, Path]]:
    """Group the files of each utterance by their ending in lower case."""
    found: dict[Path, dict[str, Path]] = {}
    for path in files_in(folder):
        name, dot, ending = path.name.partition(".")
        ending = (dot + ending).lower()
        # The corpus has other texts as well, in DOC.
        if _UTTERANCE.fullmatch(name) and (ending in _TIERS or ending in _AUDIO):
            found.setdefault(path.with_name(name), {})[ending] = path
    return found


def _sounds(files: Mapping[str, Path]) -> list[Path]:
    """List the audio files of an utterance; of a copy SA1.WAV.wav the original is passed over."""
    found = {ending: files[ending] for ending in _AUDIO if ending in files}
    if ".wav.wav" in found:
        found.pop(".wav", None)
    return list(found.values())


def _split(folder: Path, stem: Path, test: str) -> str | None:
    """Say what an utterance is for, by the nearest folder named train or test."""
    # Of a link the name that it has here counts, not that of the folder it leads to.
    place = folder.resolve() / stem.relative_to(folder)
    part = next((p.lower() for p in place.parts[::-1] if p.lower() in _PARTS), None)
    core = stem.parent.name.upper() in CORE_TEST_SPEAKERS
    return part if part == "train" or core or test == "complete" else None


def _readable(
    path: Path,
    recording: str,
    tier: str,
    split: str | None,
    unknown: dict[str, list[InputError]] | None,
    problems: list[Problem],
) -> list[Segment]:
    """Return the labels of a file; what is wrong with it is one problem."""
    found: list[Segment] = []
    try:
        found.extend(_segments(path, recording, tier, split, unknown))
    except InputError as error:
        problems.append(Problem(error.message, error.hint))
    return found


def _segments(
    path: Path,
    recording: str,
    tier: str,
    split: str | None,
    unknown: dict[str, list[InputError]] | None,
) -> Iterator[Segment]:
    """Yield the labels of a file; phones are folded where there is a place for unknown ones."""
    speaker = path.parent.name.upper()
    refuse_placeholder(path, "label file")
    numbered = [(n, line) for n, line in enumerate(lines(read_text(path)), 1) if line.strip()]
    bad = {number: line for number, line in numbered if not _is_label(line)}
    if bad:
        number, line = next(iter(bad.items()))
        raise InputError(
            f"{path}, line {number}: {line.strip()!r} is no label of TIMIT "
            f"({such_rows(list(bad))})",
            hint="A line holds the first and the last sample and the label: '0 2400 h#'.",
        )
    for number, line in numbered:
        first, last, label = line.split(maxsplit=2)
        start, end = int(first) / SAMPLE_RATE_HZ, int(last) / SAMPLE_RATE_HZ
        label = label.strip()
        if unknown is not None:
            folded = _folded(label, path, number, unknown)
            if folded is None:
                continue
            label = folded
        elif tier != SENTENCE:
            label = label.lower()
        yield Segment(recording, start, end, label, tier, speaker, split)


def _is_label(line: str) -> bool:
    fields = line.split(maxsplit=2)
    return len(fields) == 3 and all(_SAMPLE.fullmatch(field) for field in fields[:2])


def _told_unknown(
    unknown: Mapping[str, Sequence[InputError]], segments: Iterable[Segment]
) -> list[str]:
    """Count the unknown phones; refuse them where there are no words, which need none."""
    if not unknown:
        return []
    if not any(one.tier == WORD for one in segments):
        raise next(iter(unknown.values()))[0]
    count = sum(map(len, unknown.values()))
    return [f"{count} phone labels are unknown and taken as they are: {some(sorted(unknown))}"]


def _folded(
    label: str, path: Path, number: int, unknown: dict[str, list[InputError]]
) -> str | None:
    try:
        return fold_timit(label)
    except InputError as error:
        found = InputError(f"{path}, line {number}: {error.message}", hint=error.hint)
        unknown.setdefault(label, []).append(found)
        return label


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
        A list is missing, there is no audio, or what :func:`braindash.io.labels.table.make_labels`
        refuses.
    """
    folder = given_path(folder)
    found = find_audio(folder)
    audio = {name: path for name, path in found.items() if "/" in name and _BACKGROUND not in name}
    listed = {
        entry: split
        for split, file in _COMMAND_SPLITS.items()
        for entry in _listed_recordings(folder / file)
    }
    spelled = Spellings(audio)
    splits = {spelled.name_of(entry) or entry: split for entry, split in listed.items()}
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
        :func:`braindash.io.labels.table.make_labels` refuses.
    """
    annotations = given_path(annotations)
    folder = annotations if annotations.is_dir() else annotations.parent
    names = [name for name in _SLURP_SPLITS if synthetic or name != "train_synthetic"]
    files = [annotations] if annotations.is_file() else [folder / f"{n}.jsonl" for n in names]
    files = [file for file in files if os.path.lexists(file)]
    if not files:
        raise InputError(
            f"{annotations} holds none of {', '.join(f'{name}.jsonl' for name in names)}",
            hint="Give the folder dataset/slurp of the corpus.",
        )
    found = find_audio(given_path(audio))
    recording_of = Spellings({path.name: name for name, path in found.items()})
    speakers = _slurp_speakers(folder / _SLURP_SPEAKERS)
    segments: list[Segment] = []
    problems: list[Problem] = []
    for file in files:
        split = _SLURP_SPLITS.get(file.stem)
        for entry in _slurp_entries(file, problems):
            for name in entry["files"]:
                recording, speaker = recording_of.get(name, name), speakers.get(name)
                segments += [
                    Segment(recording, 0.0, None, entry[tier], tier, speaker, split)
                    for tier in _SLURP_TIERS
                ]
    raise_problems(f"SLURP in {annotations}", problems)
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
        No file has such a name, or what :func:`braindash.io.labels.table.make_labels` refuses.
    """
    folder = given_path(folder)
    recordings = existing(folder / _CREMAD_AUDIO)
    if recordings.is_dir():
        folder = recordings
    found = find_audio(folder)
    audio, strange, segments = {}, [], []
    for name, path in found.items():
        match = _CREMAD_NAME.fullmatch(name.rpartition("/")[2].upper())
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
    refuse_placeholder(path, "list")
    if not path.is_file():
        raise InputError(
            f"the list {path} is missing, so that the splits of Speech Commands are unknown",
            hint=f"The corpus has {' and '.join(_COMMAND_SPLITS.values())}; unpack all of it.",
        )
    listed = lines(read_text(path))
    return [line.strip().rpartition(".")[0] for line in listed if line.strip()]


def _command_speaker(name: str) -> str | None:
    match = _HASH.fullmatch(name.rpartition("/")[2])
    return match[1] if match else None


def _slurp_entries(path: Path, problems: list[Problem]) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a file; its lines that are none are one problem, by number."""
    refuse_placeholder(path, "annotation")
    bad: dict[int, str] = {}
    for number, line in enumerate(lines(read_text(path)), 1):
        if not line.strip():
            continue
        try:
            entry = parse_json(line)
            texts = {name: entry[name] for name in _SLURP_TIERS}
            files = [recording["file"] for recording in entry["recordings"]]
            if not all(isinstance(value, str) for value in (*texts.values(), *files)):
                raise ValueError("a label is no text")
        except (ValueError, KeyError, TypeError) as error:
            bad[number] = f"{type(error).__name__}: {error}"
            continue
        yield texts | {"files": files}
    if bad:
        number, reason = next(iter(bad.items()))
        problems.append(
            Problem(
                f"{path}, line {number} is no entry of SLURP: {reason} ({such_rows(list(bad))})",
                f"An entry is a JSON object with {', '.join(_SLURP_TIERS)} and recordings, each "
                "with its file.",
            )
        )


def _slurp_speakers(path: Path) -> dict[str, str]:
    """Read who speaks in each file; empty without the corpus's metadata."""
    if not path.is_file():
        return {}
    try:
        entries = parse_json(read_text(path)).values()
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
