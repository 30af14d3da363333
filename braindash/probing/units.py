"""Units of speech that probes ask about: frames, phones, words, or the segments of a tier."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from braindash.core.probes.sentences import MARK
from braindash.errors import InputError
from braindash.files import digest_bytes
from braindash.io.dataset.audio import find_recording
from braindash.io.labels.checks import some
from braindash.io.labels.table import Labels
from braindash.probing.tasks import FRAME, SENTENCE, SENTENCE_FRAME
from braindash.remembered.digests import digest_input

FRAME_SECONDS, FRAME_STEP_SECONDS = 0.02, 0.1
# Of sentences that are to be told: two frames of most models, and more than letters are spoken.
SENTENCE_FRAME_SECONDS = 0.04
# Shorter recordings hold too few frames of any model.
LEAST_SECONDS = 0.2
# Recordings are worked on in groups of about this much audio: what an interrupted run may lose.
_GROUP_SECONDS = 300.0


@dataclass(frozen=True)
class RecordingGroup:
    """Recordings whose features are computed and stored together.

    Attributes
    ----------
    names : tuple of str
        Ids, sorted.
    paths : tuple of Path
        Audio files.
    seconds : float
        Their length together.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    seconds: float

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Digests of the audio files."""
        return tuple(digest_input(path) for path in self.paths)

    @cached_property
    def counted(self) -> dict[str, int]:
        """Samples at 16 kHz by digest, of the files whose header says otherwise."""
        pairs = zip(self.digests, map(find_recording, self.paths), strict=True)
        return {digest: one.counted for digest, one in pairs if one.counted is not None}

    @property
    def title(self) -> str:
        """Name for progress reports."""
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return f"{self.names[0]}{more}"


@dataclass(frozen=True, eq=False)
class Units:
    """All units of one kind, in the order of recording and time.

    Attributes
    ----------
    name : str
        ``"frame"`` or the tier.
    table : pandas.DataFrame
        ``recording``, ``start``, ``end`` (s), ``label``, ``speaker`` and ``split``; frames have
        no label.
    """

    name: str
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    def of(self, group: RecordingGroup) -> pd.DataFrame:
        """Return the units of a group of recordings."""
        # Groups, and the recordings in them, are in the order of the table.
        first = np.searchsorted(self._recordings, group.names[0], side="left")
        stop = np.searchsorted(self._recordings, group.names[-1], side="right")
        return self.table.iloc[first:stop]

    @cached_property
    def _recordings(self) -> np.ndarray:
        return np.asarray(self.table["recording"].astype(str), dtype=object)

    def digest(self, group: RecordingGroup) -> str:
        """Digest of where the units of a group are; recordings count by their place in it."""
        own = self.of(group)
        place = {name: index for index, name in enumerate(group.names)}
        numbers = own["recording"].map(place).to_numpy(dtype="<i8")
        spans = own[["start", "end"]].to_numpy(dtype=float)
        micros = np.round(spans * 1e6).astype("<i8")
        return digest_bytes(numbers.tobytes(), micros.tobytes())


def group_recordings(recordings: pd.DataFrame) -> tuple[RecordingGroup, ...]:
    """Put short recordings together; a long one is a group of its own.

    Parameters
    ----------
    recordings : pandas.DataFrame
        ``recording``, ``path``, ``seconds``; sorted by recording.

    Returns
    -------
    tuple of RecordingGroup
        In the same order.
    """
    groups: list[RecordingGroup] = []
    waiting: list[tuple[str, Path, float]] = []

    def close() -> None:
        if waiting:
            names, paths, seconds = zip(*waiting, strict=True)
            groups.append(RecordingGroup(names, paths, float(sum(seconds))))
            waiting.clear()

    for name, path, seconds in recordings[["recording", "path", "seconds"]].itertuples(index=False):
        if sum(one[2] for one in waiting) + seconds > _GROUP_SECONDS:
            close()
        waiting.append((str(name), Path(path), float(seconds)))
    close()
    return tuple(groups)


def plan_units(labels: Labels, name: str, *, max_units: int, seed: int) -> tuple[Units, list[str]]:
    """Find the units of one kind.

    Parameters
    ----------
    labels : Labels
        The recordings and their segments.
    name : str
        ``"frame"`` or a tier.
    max_units : int
        Of more, so many are drawn, evenly over all.
    seed : int
        Of the draw.

    Returns
    -------
    units : Units
    warnings : list of str
        What was left out.

    Raises
    ------
    InputError
        There is no such tier, or no unit is left.
    """
    table = _unit_table(labels, name)
    told = []
    seconds = labels.recordings.set_index("recording")["seconds"]
    short = sorted(seconds.index[seconds < LEAST_SECONDS])
    lost = table["recording"].isin(short)
    if lost.any():
        told.append(
            f"{lost.sum()} units ({name}) of {len(short)} recordings shorter than {LEAST_SECONDS} s"
            f" are left out: {some(short)}"
        )
        table = table[~lost]
    if len(table) > max_units and name == SENTENCE_FRAME:
        table = _whole_sentences(table, max_units, seed, told)
    elif len(table) > max_units:
        told.append(f"{max_units} of {len(table)} units ({name}) are drawn, seed {seed}")
        chosen = np.random.default_rng(seed).choice(len(table), max_units, replace=False)
        table = table.iloc[np.sort(chosen)]
    if not len(table):
        raise InputError(
            f"no unit ({name}) is left of {len(labels.recordings)} recordings",
            hint=f"Recordings must be {LEAST_SECONDS} s or longer.",
        )
    columns = ["recording", "start", "end", "label", "speaker", "split"]
    table = table[columns].sort_values(["recording", "start"], kind="stable")
    return Units(name, table.reset_index(drop=True)), told


def _unit_table(labels: Labels, name: str) -> pd.DataFrame:
    if name == SENTENCE_FRAME:
        return _sentence_frames(labels)
    return _frames(labels) if name == FRAME else labels.tier(name).table


def _sentence_frames(labels: Labels) -> pd.DataFrame:
    """Lay frames of 40 ms over every sentence; their labels tell sentences apart."""
    table = labels.tier(SENTENCE).table
    spans = table[["start", "end"]].to_numpy(dtype=float)
    counts = np.maximum(
        np.floor((spans[:, 1] - spans[:, 0]) / SENTENCE_FRAME_SECONDS + 1e-6).astype(int), 0
    )
    rows = table.loc[table.index.repeat(counts)].reset_index(drop=True)
    number = np.concatenate([np.arange(count) for count in counts])
    names = [
        f"{start:.3f}{MARK}{text}" for start, text in zip(rows["start"], rows["label"], strict=True)
    ]
    start = rows["start"] + SENTENCE_FRAME_SECONDS * number
    return rows.assign(label=names, start=start, end=start + SENTENCE_FRAME_SECONDS)


def _whole_sentences(
    table: pd.DataFrame, max_units: int, seed: int, told: list[str]
) -> pd.DataFrame:
    """Draw sentences as long as their frames are not too many."""
    code = table.groupby(["recording", "label"], sort=False).ngroup().to_numpy()
    counts = np.bincount(code)
    order = np.random.default_rng(seed).permutation(len(counts))
    taken = order[: max(1, int((np.cumsum(counts[order]) <= max_units).sum()))]
    told.append(
        f"{len(taken)} of {len(counts)} sentences are drawn, seed {seed}: they hold at most "
        f"{max_units} frames"
    )
    return table[np.isin(code, taken)]


def _frames(labels: Labels) -> pd.DataFrame:
    """Lay one frame of 20 ms at every tenth of a second of every recording."""
    known = labels.table.groupby("recording")[["speaker", "split"]].first()
    parts = list(_frames_of(labels.recordings, known))
    return pd.concat(parts, ignore_index=True)


def _frames_of(recordings: pd.DataFrame, known: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for name, seconds in recordings[["recording", "seconds"]].itertuples(index=False):
        count = max(0, int(np.floor((seconds - FRAME_SECONDS) / FRAME_STEP_SECONDS + 1e-6)) + 1)
        start = FRAME_STEP_SECONDS * np.arange(count)
        speaker, split = known.loc[name] if name in known.index else (None, None)
        yield pd.DataFrame(
            {
                "recording": name,
                "start": start,
                "end": start + FRAME_SECONDS,
                "label": "",
                "speaker": pd.Series([speaker] * count, dtype=object),
                "split": pd.Series([split] * count, dtype=object),
            }
        )


def speakers_of(units: Units) -> np.ndarray | None:
    """Return every unit's speaker; None where any is unknown."""
    speakers = units.table["speaker"]
    if speakers.isna().any():
        return None
    return np.asarray(speakers.astype(str))


def unit_groups(units: Units, groups: Sequence[RecordingGroup]) -> tuple[RecordingGroup, ...]:
    """Return the groups that hold any of the units."""
    there = set(units.table["recording"])
    return tuple(group for group in groups if there & set(group.names))
