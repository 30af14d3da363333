"""Labels of recordings in time, for probing: one table, wherever they come from.

The readers of single formats (``braindash.io.labels_*``) hand their segments to
:func:`make_labels`, which compares them with the audio. What makes labels unusable is an error;
what a user should know, and may accept, is a warning that travels with the table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from braindash.errors import InputError, near_match
from braindash.files import digest_bytes
from braindash.io.dataset.tables import raise_problems
from braindash.io.labels.checks import (
    compose_names,
    cut_to_audio,
    find_oddities,
    find_problems,
    some,
    take_once,
)
from braindash.io.labels.recordings import measure_recordings
from braindash.io.recordings import BadRecordings, Fault

__all__ = ["COLUMNS", "Labels", "Segment", "make_labels"]

_DTYPES = {"recording": "str", "start": "float64", "end": "float64", "label": "str", "tier": "str"}
COLUMNS = ("recording", "path", "start", "end", "label", "tier", "speaker", "split")


class Segment(NamedTuple):
    """One labelled piece of one recording, before it is compared with the audio.

    Attributes
    ----------
    recording : str
        Id of the recording.
    start, end : float or None
        Seconds from the first sample; None for the end of the recording.
    label : str
        What is there.
    tier : str
        What kind of label it is: ``"phone"``, ``"word"``, ``"intent"``...
    speaker, split : str or None
        Who speaks; ``"train"``, ``"valid"`` or ``"test"``. None where the source does not say.
    """

    recording: str
    start: float
    end: float | None
    label: str
    tier: str
    speaker: str | None = None
    split: str | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """Labelled segments of recordings, checked against the audio.

    Attributes
    ----------
    source : str
        Where they come from, such as ``"timit"``.
    table : pandas.DataFrame
        One row per segment, sorted by recording, tier and start: ``recording``, ``path`` (of the
        audio), ``start`` and ``end`` (s), ``label``, ``tier``, ``speaker`` and ``split`` (None
        where unknown).
    recordings : pandas.DataFrame
        One row per recording, labelled or not: ``recording``, ``path``, ``seconds``, ``rate_hz``.
    warnings : tuple of str
        What was found in the data that need not stop the work.
    faults : tuple of Fault
        Recordings that cannot be used; neither they nor their segments are in the tables.
    """

    source: str
    table: pd.DataFrame
    recordings: pd.DataFrame
    warnings: tuple[str, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def tiers(self) -> tuple[str, ...]:
        """Names of the tiers, sorted."""
        return tuple(sorted(self.table["tier"].unique()))

    @property
    def digest(self) -> str:
        """Digest of the segments; the place of the audio files plays no part."""
        moved = self.table.drop(columns="path")
        return digest_bytes(moved.to_csv(index=False, float_format="%.6f").encode())

    def only(self, recordings: Iterable[str]) -> "Labels":
        """Return the labels of some recordings."""
        names = set(recordings)
        table, kept = (
            part[part["recording"].isin(names)].reset_index(drop=True)
            for part in (self.table, self.recordings)
        )
        faults = tuple(one for one in self.faults if one.name in names)
        return replace(self, table=table, recordings=kept, faults=faults)

    def without(self, left_out: Iterable[str]) -> "Labels":
        """Leave recordings out.

        Parameters
        ----------
        left_out : iterable of str
            Recordings that need not be used.

        Returns
        -------
        Labels

        Raises
        ------
        BadRecordings
            Others cannot be used either.
        """
        names = set(left_out)
        if faults := [one for one in self.faults if one.name not in names]:
            pairs = self.recordings[["recording", "path"]].itertuples(index=False)
            others = {str(name): Path(path) for name, path in pairs if name not in names}
            raise BadRecordings(faults, others)
        if names.isdisjoint(self.recordings["recording"]):
            return self
        return self.only(set(self.recordings["recording"]) - names)

    def tier(self, name: str) -> "Labels":
        """Keep one tier.

        Parameters
        ----------
        name : str
            One of :attr:`tiers`.

        Returns
        -------
        Labels
            With all recordings and all warnings.

        Raises
        ------
        InputError
            There is no such tier.
        """
        kept = self.table[self.table["tier"] == name].reset_index(drop=True)
        if not len(kept):
            raise InputError(
                f"the labels of {self.source} have no tier {name!r}",
                hint=near_match(name, self.tiers),
            )
        return replace(self, table=kept)


def make_labels(
    source: str,
    segments: Iterable[Segment],
    audio: Mapping[str, Path],
    warnings: Sequence[str] = (),
) -> Labels:
    """Compare segments with the audio and gather them in one table.

    Parameters
    ----------
    source : str
        Where they come from, for messages.
    segments : iterable of Segment
        In any order.
    audio : mapping of str to Path
        Audio file of each recording; recordings without segments are kept, with a warning.
    warnings : sequence of str
        What the reader of the format found.

    Returns
    -------
    Labels

    Raises
    ------
    InputError
        Lists every fault: no segments or no audio, no file that can be used, times that are not
        finite, negative or reversed, labels that lie outside their recording, a recording in two
        splits. Single recordings that cannot be used are the ``faults`` of what is returned.
    """
    rows = list(segments)
    if not rows or not audio:
        raise InputError(
            f"the labels of {source} are empty: {len(rows)} segments, {len(audio)} audio files",
            hint="Check the folder, and that the audio lies where the labels are looked for.",
        )
    told = list(warnings)
    recordings, faults = measure_recordings(audio)
    if not len(recordings):
        raise BadRecordings(faults, {})
    bad = {one.name for one in faults}
    rows = [row for row in rows if row.recording not in bad]
    table = _with_audio(rows, recordings, source, told)
    raise_problems(f"the labels of {source}", find_problems(table))
    table = compose_names(cut_to_audio(table, told), told)
    table = take_once(table, told)
    table = table.sort_values(["recording", "tier", "start", "end"], kind="stable")
    table = table[list(COLUMNS)].reset_index(drop=True)
    if not len(table):
        raise InputError(
            f"the labels of {source} are empty: no segment lasts longer than 0 s",
            hint="Check the times of the labels.",
        )
    told += find_oddities(table, recordings)
    return Labels(source, table, recordings, tuple(told), faults)


def _with_audio(
    rows: list[Segment], recordings: pd.DataFrame, source: str, told: list[str]
) -> pd.DataFrame:
    """Tabulate the segments whose recording has audio, with its path and duration."""
    seconds = dict(zip(recordings["recording"], recordings["seconds"], strict=True))
    lacking = sorted({row.recording for row in rows} - set(seconds))
    kept = [
        row if row.end is not None else row._replace(end=seconds[row.recording])
        for row in rows
        if row.recording in seconds
    ]
    if not kept:
        raise InputError(
            f"the labels of {source} and the audio do not meet: no recording has both; labels "
            f"name {some(lacking)}, audio {some(recordings['recording'])}",
            hint="Recordings are matched by their path without suffix, or by their file name where "
            "it is the only one of this name. Check the folders.",
        )
    if lacking:
        told.append(f"{len(lacking)} labelled recordings have no audio: {some(lacking)}")
    columns = dict(zip(Segment._fields, zip(*kept, strict=True), strict=True))
    table = pd.DataFrame(
        {
            name: pd.Series(values, dtype=_DTYPES.get(name, "object"))
            for name, values in columns.items()
        }
    )
    return table.merge(recordings[["recording", "path", "seconds"]], on="recording", how="left")
