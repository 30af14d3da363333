"""Labels from folders of TextGrids, such as the Montreal Forced Aligner's, and LibriSpeech."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import regex

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.labels.checks import some
from braindash.io.labels.gentle import NOT_FOUND, read_alignment
from braindash.io.labels.intervals import PHONE, SENTENCE, WORD, Aligned
from braindash.io.labels.recordings import check_folder, find_audio, matcher
from braindash.io.labels.table import Labels, Segment, make_labels
from braindash.io.texts import lines, read_text
from braindash.names import Spellings, existing, files_in, given_path, named_like

# Names of tiers, in lower case, as aligners write them (MFA, MAUS, P2FA, the public story data).
TIERS = {
    "phones": PHONE,
    "phone": PHONE,
    "mau": PHONE,
    "words": WORD,
    "word": WORD,
    "ort-mau": WORD,
}
_TEXTGRID = "*.TextGrid"
_TRANSCRIPTS = "*.trans.txt"
# A rule may be somebody else's, and made to take years.
_PATTERN_SECONDS = 1.0
_LIBRISPEECH_SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def read_textgrids(
    folder: Path | str,
    *,
    audio: Path | str | None = None,
    tiers: Mapping[str, str] | None = None,
    speaker: str | None = None,
    fold_phones: bool = True,
    pauses: bool = False,
) -> Labels:
    """Read a folder of TextGrids, with all folders in it.

    Parameters
    ----------
    folder : path
        TextGrids in long or short form, any encoding of Praat; such as the output of the Montreal
        Forced Aligner.
    audio : path, optional
        Folder of the recordings, named as the TextGrids are; ``folder`` by default.
    tiers : mapping of str to str, optional
        Names of tiers in the files -> names in the table. By default the usual names of phone and
        word tiers become ``"phone"`` and ``"word"``.
    speaker : str, optional
        ``"folder"``: the folder of a TextGrid is named after its speaker, as MFA has it. Else a
        regular expression whose first group is the speaker in the recording's id. Speakers before
        the names of tiers (``"anna - words"``) come first.
    fold_phones : bool, default True
        Translate labels of the phone tier to the 39 phones of ARPABET, without stress, and by the
        rule of :mod:`braindash.core.ipa` where they are IPA's; else take them as they are. A label
        of no known alphabet is taken as it is, with a warning.
    pauses : bool, default False
        Keep pauses and noises, all as ``"sil"``.

    Returns
    -------
    Labels
        Words are in lower case.

    Raises
    ------
    InputError
        No TextGrid, no audio, or what :func:`braindash.io.labels.table.make_labels` refuses. Every
        file that is damaged or has none of the tiers is named.
    """
    folder = given_path(folder)
    check_folder(folder)
    files = named_like(files_in(folder), _TEXTGRID)
    if not files:
        raise InputError(f"{folder} holds no TextGrid", hint="Give the aligner's output folder.")
    recordings = find_audio(given_path(audio) if audio is not None else folder)
    names = {file: file.relative_to(folder).with_suffix("").as_posix() for file in files}
    recording_of, speaker_of = matcher(recordings, names.values()), speaker_rule(speaker)
    aligned = Aligned(fold_phones=fold_phones, pauses=pauses)
    wanted = lowered(tiers)
    for file, name in names.items():
        recording = recording_of(name)
        aligned.textgrid(file, recording, wanted, speaker=speaker_of(recording, file))
    title = f"the TextGrids in {folder}"
    segments = aligned.segments(title)
    return make_labels(title, segments, recordings, aligned.warnings())


def lowered(tiers: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return names of tiers in lower case; the usual ones where none are given."""
    return TIERS if tiers is None else {name.lower(): tier for name, tier in tiers.items()}


def read_librispeech(
    folder: Path | str,
    *,
    alignments: Path | str | None = None,
    fold_phones: bool = True,
    pauses: bool = False,
) -> Labels:
    """Read a folder in the layout of LibriSpeech (Panayotov et al. 2015).

    Parameters
    ----------
    folder : path
        ``LibriSpeech``, one of its subsets (``dev-clean``) or a part of one:
        ``SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac`` with ``*.trans.txt`` beside.
    alignments : path, optional
        Folder of TextGrids in the same layout; by default they are looked for beside the audio.
    fold_phones, pauses : bool
        See :func:`read_textgrids`.

    Returns
    -------
    Labels
        Tiers ``"sentence"`` and, where there are TextGrids, ``"phone"`` and ``"word"``. Subsets
        ``train-*``, ``dev-*`` and ``test-*`` are the splits.

    Raises
    ------
    InputError
        No transcript, no audio, or what :func:`braindash.io.labels.table.make_labels` refuses.
    """
    folder = given_path(folder)
    recordings = find_audio(folder)
    spelled = Spellings(recordings)
    aligned = given_path(alignments) if alignments is not None else folder
    transcripts = named_like(files_in(folder), _TRANSCRIPTS)
    if not transcripts:
        raise InputError(
            f"{folder} has no transcripts ({_TRANSCRIPTS}), so it is not laid out as LibriSpeech",
            hint="Give LibriSpeech itself or one of its subsets, unpacked.",
        )
    grids = Aligned(fold_phones=fold_phones, pauses=pauses)
    segments: list[Segment] = []
    unaligned: list[str] = []
    told: list[str] = []
    for transcript in transcripts:
        chapter = transcript.parent
        # Of a link the name that it has here counts, not that of the folder it leads to.
        place = folder.resolve() / chapter.relative_to(folder)
        subset = place.parent.parent.name.lower().partition("-")[0]
        split = _LIBRISPEECH_SPLITS.get(subset)
        for utterance, text in _utterances(transcript, told):
            written = (chapter.relative_to(folder) / utterance).as_posix()
            recording = spelled.name_of(written) or written
            who = {"speaker": utterance.partition("-")[0], "split": split}
            segments.append(Segment(recording, 0.0, None, text, SENTENCE, **who))
            grid = existing(aligned / f"{written}.TextGrid")
            if os.path.lexists(grid):
                grids.textgrid(grid, recording, TIERS, **who)
            else:
                unaligned.append(recording)
    title = f"LibriSpeech in {folder}"
    segments += grids.segments(title)
    told += grids.warnings()
    if unaligned and (alignments is not None or grids.n_files):
        told.append(f"{len(unaligned)} utterances have no TextGrid: {some(unaligned)}")
    return make_labels(title, segments, recordings, told)


def speaker_rule(speaker: str | None) -> Any:
    """Return a function of recording and file that says who speaks."""
    if speaker is None:
        return lambda recording, file: None
    if speaker == "folder":
        return lambda recording, file: file.parent.name
    try:
        pattern = regex.compile(speaker)
    except regex.error as error:
        raise _bad_rule(speaker, str(error)) from error
    if not pattern.groups:
        raise _bad_rule(speaker, "it has no group")

    def found(recording: str, file: Path) -> str:
        try:
            match = pattern.search(recording, timeout=_PATTERN_SECONDS)
        except TimeoutError as error:
            raise _bad_rule(
                speaker, f"it takes too long with the recording {recording!r}"
            ) from error
        if match is None or match[1] is None:
            raise _bad_rule(speaker, f"it does not match the recording {recording!r}")
        return str(match[1])

    return found


def _bad_rule(speaker: str, reason: str) -> InputError:
    return InputError(
        f"speaker = {speaker!r} does not say who speaks: {reason}",
        hint="Give 'folder', or a regular expression with one group, such as '^([^-]+)-'.",
    )


def _utterances(transcript: Path, told: list[str]) -> Iterator[tuple[str, str]]:
    refuse_placeholder(transcript, "transcript")
    for line in lines(read_text(transcript, told)):
        utterance, _, text = line.strip().partition(" ")
        if utterance:
            yield utterance, text.strip()


def read_gentle(
    folder: Path | str,
    *,
    audio: Path | str | None = None,
    audio_suffix: str = "",
    fold_phones: bool = True,
) -> Labels:
    """Read alignments of gentle: ``STORY/align.json`` or ``STORY.json`` for each recording.

    Where there are none, ``STORY/align.csv``, which holds words alone.

    Parameters
    ----------
    folder : path
        Folder of the alignments.
    audio : path, optional
        Folder of the recordings; ``folder`` by default.
    audio_suffix : str
        What follows the story in the audio's name, such as ``"_audio"``.
    fold_phones : bool, default True
        See :func:`braindash.io.labels.aligned.read_textgrids`; else phones keep gentle's names,
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
        :func:`braindash.io.labels.table.make_labels` refuses.
    """
    folder = given_path(folder)
    check_folder(folder)
    everything = files_in(folder)
    patterns = ("align.json", "*.json", "align.csv")
    files = next(filter(None, (named_like(everything, one) for one in patterns)), [])
    if not files:
        raise InputError(
            f"{folder} holds no alignment of gentle (STORY/align.json, STORY.json or "
            "STORY/align.csv)",
            hint="Give the folder of the alignments.",
        )
    recordings = find_audio(given_path(audio) if audio is not None else folder, audio_suffix)
    stories = {
        file: file.parent if file.stem == "align" else file.with_suffix("") for file in files
    }
    names = {file: story.relative_to(folder).as_posix() for file, story in stories.items()}
    recording_of = matcher(recordings, names.values())
    aligned = Aligned(fold_phones=fold_phones, pauses=False)
    for file, name in names.items():
        recording = recording_of(name)
        try:
            words, phones, n_lost = read_alignment(file, aligned.told)
        except InputError as error:
            aligned.problem(error)
            continue
        for _ in range(n_lost):
            aligned.leave_out(NOT_FOUND)
        aligned.tier(recording, WORD, words)
        aligned.tier(recording, PHONE, phones)
    title = f"gentle in {folder}"
    segments = aligned.segments(title)
    return make_labels(title, segments, recordings, aligned.warnings())
