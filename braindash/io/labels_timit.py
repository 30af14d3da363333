"""Labels of TIMIT (Garofolo et al. 1993): phones, words and sentences, with its core test set."""

import re
from collections.abc import Iterator
from pathlib import Path

from braindash.core.phones import fold_timit
from braindash.errors import InputError, near_match
from braindash.io.labels import Labels, Segment, make_labels
from braindash.io.labels_audio import check_folder
from braindash.io.labels_checks import some
from braindash.io.labels_intervals import PHONE, SENTENCE, WORD

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
_UTTERANCE = re.compile(r"S[AIX]\d+", re.IGNORECASE)
_READ_BY_ALL = "SA"
_PARTS = ("train", "test")
_PHONE_SETS = (39, 61)
_TEST_SETS = ("core", "complete")


def read_timit(
    folder: Path | str, *, phones: int = 39, test: str = "core", with_sa: bool = False
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

    Returns
    -------
    Labels
        Tiers ``"phone"``, ``"word"`` (lower case) and ``"sentence"``. Neighbouring words may
        overlap where they share a sound; a warning counts them.

    Raises
    ------
    InputError
        Nothing of TIMIT is there, a line or a label is no TIMIT's, or what
        :func:`braindash.io.labels.make_labels` refuses.
    """
    folder = Path(folder).expanduser()
    check_folder(folder)
    for name, value, allowed in (("phones", phones, _PHONE_SETS), ("test", test, _TEST_SETS)):
        if value not in allowed:
            raise InputError(
                f"{name} = {value!r} is unknown", hint=near_match(str(value), map(str, allowed))
            )
    segments: list[Segment] = []
    audio: dict[str, Path] = {}
    lacking = []
    for stem, files in _utterances(folder).items():
        if stem.name.upper().startswith(_READ_BY_ALL) and not with_sa:
            continue
        recording = stem.relative_to(folder).as_posix()
        sound = next((files[ending] for ending in _AUDIO if ending in files), None)
        if sound is not None:
            audio[recording] = sound
        labelled = [ending for ending in _TIERS if ending in files]
        if len(labelled) < len(_TIERS):
            lacking.append(recording)
        split = _split(stem, test)
        for ending in labelled:
            segments += _segments(files[ending], recording, _TIERS[ending], split, phones)
    if not segments:
        raise InputError(
            f"{folder} holds no label file of TIMIT (.PHN, .WRD, .TXT beside .WAV)",
            hint="Give the folder that holds TRAIN and TEST.",
        )
    told = []
    if lacking:
        told.append(f"{len(lacking)} utterances lack a .PHN, .WRD or .TXT file: {some(lacking)}")
    return make_labels(f"TIMIT in {folder}", segments, audio, told)


def _utterances(folder: Path) -> dict[Path, dict[str, Path]]:
    """Group the files of each utterance by their ending in lower case."""
    found: dict[Path, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*")):
        name, dot, ending = path.name.partition(".")
        ending = (dot + ending).lower()
        # The corpus has other texts as well, in DOC.
        if _UTTERANCE.fullmatch(name) and (ending in _TIERS or ending in _AUDIO):
            found.setdefault(path.with_name(name), {})[ending] = path
    return found


def _split(stem: Path, test: str) -> str | None:
    """Say what an utterance is for, by the nearest folder named train or test."""
    part = next((p.lower() for p in stem.resolve().parts[::-1] if p.lower() in _PARTS), None)
    core = stem.parent.name.upper() in CORE_TEST_SPEAKERS
    return part if part == "train" or core or test == "complete" else None


def _segments(
    path: Path, recording: str, tier: str, split: str | None, phones: int
) -> Iterator[Segment]:
    speaker = path.parent.name.upper()
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        if not line.strip():
            continue
        start, end, label = _line(line, path, number)
        if tier == PHONE and phones == 39:
            folded = _folded(label, path, number)
            if folded is None:
                continue
            label = folded
        elif tier != SENTENCE:
            label = label.lower()
        yield Segment(recording, start, end, label, tier, speaker, split)


def _line(line: str, path: Path, number: int) -> tuple[float, float, str]:
    fields = line.split(maxsplit=2)
    if len(fields) < 3 or not (fields[0].isdigit() and fields[1].isdigit()):
        raise InputError(
            f"{path}, line {number}: {line.strip()!r} is no label of TIMIT",
            hint="A line holds the first and the last sample and the label: '0 2400 h#'.",
        )
    return int(fields[0]) / SAMPLE_RATE_HZ, int(fields[1]) / SAMPLE_RATE_HZ, fields[2].strip()


def _folded(label: str, path: Path, number: int) -> str | None:
    try:
        return fold_timit(label)
    except InputError as error:
        raise InputError(f"{path}, line {number}: {error.message}", hint=error.hint) from error
