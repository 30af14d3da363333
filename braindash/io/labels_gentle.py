"""Labels from gentle's alignments: words and phones of long recordings."""

import json
import math
import re
from pathlib import Path
from typing import Any

from braindash.errors import InputError
from braindash.io.annotations import Interval
from braindash.io.labels import Labels, Segment, make_labels
from braindash.io.labels_audio import check_folder, find_audio, matcher
from braindash.io.labels_intervals import PHONE, WORD, Taken

# gentle says where in its word a phone stands: begin, inside, end, single.
_PLACE = re.compile(r"_[BIES]$")
_OUT_OF_VOCABULARY = "oov"


def read_gentle(
    folder: Path | str,
    *,
    audio: Path | str | None = None,
    audio_suffix: str = "",
    fold_phones: bool = True,
) -> Labels:
    """Read alignments of gentle: ``STORY/align.json`` or ``STORY.json`` for each recording.

    Parameters
    ----------
    folder : path
        Folder of the alignments.
    audio : path, optional
        Folder of the recordings; ``folder`` by default.
    audio_suffix : str
        What follows the story in the audio's name, such as ``"_audio"``.
    fold_phones : bool, default True
        See :func:`braindash.io.labels_aligned.read_textgrids`; else phones keep gentle's names,
        without their place in the word.

    Returns
    -------
    Labels
        Tiers ``"word"`` and ``"phone"``. Words that gentle did not find in the audio are left out,
        and counted in a warning.

    Raises
    ------
    InputError
        No alignment, one that is damaged, no audio, or what
        :func:`braindash.io.labels.make_labels` refuses.
    """
    folder = Path(folder).expanduser()
    check_folder(folder)
    files = sorted(folder.rglob("align.json")) or sorted(folder.rglob("*.json"))
    if not files:
        raise InputError(
            f"{folder} holds no alignment of gentle (STORY/align.json or STORY.json)",
            hint="Give the folder of the alignments.",
        )
    recordings = find_audio(Path(audio).expanduser() if audio is not None else folder, audio_suffix)
    recording_of = matcher(recordings)
    taken = Taken(fold_phones=fold_phones, pauses=False)
    segments: list[Segment] = []
    for file in files:
        story = file.parent if file.stem == "align" else file.with_suffix("")
        recording = recording_of(story.relative_to(folder).as_posix())
        words, phones = _gentle_intervals(file, taken)
        segments += taken.tier(recording, WORD, words)
        segments += taken.tier(recording, PHONE, phones)
    return make_labels(f"gentle in {folder}", segments, recordings, taken.warnings())


def _gentle_intervals(path: Path, taken: Taken) -> tuple[list[Interval], list[Interval]]:
    """Read words and phones; times of phones follow from the durations before them."""
    words, phones = [], []
    for entry in _gentle_words(path):
        if entry.get("case", "success") != "success":
            taken.left_out["words that gentle did not find in the audio"] += 1
            continue
        try:
            start, end = _time(entry["start"]), _time(entry["end"])
            words.append(Interval(start, end, str(entry["word"])))
            for phone in entry.get("phones", ()):
                name, seconds = _PLACE.sub("", str(phone["phone"])), _time(phone["duration"])
                if name != _OUT_OF_VOCABULARY:
                    phones.append(Interval(start, start + seconds, name))
                start += seconds
        except (KeyError, TypeError, ValueError) as error:
            raise _bad_gentle(
                path, f"the word {str(entry)[:80]} lacks or breaks {error}"
            ) from error
    return words, phones


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r}, which is no time")
    return float(value)


def _gentle_words(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _bad_gentle(path, str(error)) from error
    words = content.get("words") if isinstance(content, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        raise _bad_gentle(path, "it has no list of words")
    return words


def _bad_gentle(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is no alignment of gentle: {reason}",
        hint="Keep nothing but gentle's JSON files in this folder, and copy a damaged one again.",
    )
