"""Which units a probe learns from, which choose its penalty and which score it.

No recording is on two sides and, where there are several speakers, no speaker is. Everything is
drawn from a seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.probes.groups import (
    Codes,
    choose_groups,
    group_codes,
    linked,
    renumber,
)
from braindash.defaults import PARTS
from braindash.errors import InputError, near_match

SHARES = (0.6, 0.2, 0.2)
LEFT_OUT = -1
# A part with less than this share of the units it was meant to have is worth a warning.
_LEAST_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Split:
    """Units on three sides.

    Attributes
    ----------
    train, valid, test : array of int64
        Their units, in growing order. Units on no side are in none of them.
    recordings : array of int64, shape (n_units,)
        Number of each unit's recording.
    description : str
        How the sides are kept apart, and how many recordings, speakers, types and units they have.
    warnings : tuple of str
        What a reader of the scores should know.
    speakers : array of int64, shape (n_units,), optional
        Number of each unit's speaker; None when nothing is known about them.
    of_test : array of int64, optional
        Units that are tested in this or another division of the same test part. None: ``test``.
    """

    train: Codes
    valid: Codes
    test: Codes
    recordings: Codes
    description: str
    warnings: tuple[str, ...] = ()
    speakers: Codes | None = None
    of_test: Codes | None = None


class _Units(NamedTuple):
    """Codes (n_units,) of what units belong to, and of the label to be spread over the sides."""

    recordings: Codes
    speakers: Codes | None
    types: Codes | None
    strata: Codes


def split_units(
    recordings: ArrayLike,
    *,
    speakers: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> Split:
    """Divide units among train, validation and test.

    Groups of units stay together: all that speakers and recordings link (a recording of two
    speakers links these), or recordings where there is only one such group. The test part is set
    apart first, then the validation part: each time, of many random divisions of the right size,
    the one in which the share of every label is nearest to that of the units. With two speakers,
    the test part has one and the other's recordings make up the rest.

    Parameters
    ----------
    recordings : array of int or str, shape (n_units,)
        Recording of each unit.
    speakers : array of int or str, shape (n_units,), optional
        Speaker of each unit; None when nothing is known about them.
    strata : array of int or str, shape (n_units,), optional
        Labels to be spread evenly: those of the task with the rarest classes. None: only sizes
        count.
    shares : sequence of three floats, default (0.6, 0.2, 0.2)
        Of the units in train, validation and test.
    seed : int, default 0
        The same seed and units give the same split.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        With fewer than three recordings, when a side would be empty, or for arrays that
        do not fit.
    """
    fractions = np.asarray(shares, dtype=np.float64)
    if fractions.shape != (3,) or not (fractions > 0).all() or abs(fractions.sum() - 1) > 1e-6:
        raise InputError(
            f"the shares are {tuple(shares)}",
            hint="Give three positive numbers that sum to 1, for example (0.6, 0.2, 0.2).",
        )
    units = _read_units(recordings, speakers, None, strata)
    rng = np.random.default_rng(seed)
    everything = np.arange(len(units.recordings))
    test, how_test = _set_apart(units, everything, fractions[2], "test", rng)
    rest = np.setdiff1d(everything, test)
    share = fractions[1] / (fractions[0] + fractions[1])
    validation, how_validation = _set_apart(units, rest, share, "validation", rng)
    part = np.zeros(len(everything), dtype=np.int64)
    part[validation], part[test] = 1, 2
    how = (
        how_test if how_test == how_validation else f"test {how_test}, validation {how_validation}"
    )
    return _finish(units, part, f"{how}, seed {seed}", fractions)


def given_split(
    parts: ArrayLike,
    recordings: ArrayLike,
    *,
    speakers: ArrayLike | None = None,
    types: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    seed: int = 0,
) -> Split:
    """Take a published division of units, checked; without a validation part, set one apart.

    Parameters
    ----------
    parts : array of str, shape (n_units,)
        "train", "valid", "test", or "" for a unit to be left out.
    recordings, speakers, types, strata
        As for :func:`split_units`. A speaker may be on both sides, which becomes a warning.
    seed : int, default 0
        For the validation part, a quarter of the training part, where none is given.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        When train or test is empty, or a recording or type is on two sides.
    """
    units = _read_units(recordings, speakers, types, strata)
    names = np.asarray(parts)
    if names.shape != units.recordings.shape:
        raise InputError(
            f"parts has shape {names.shape} for {len(units.recordings)} units",
            hint="Give one part per unit.",
        )
    allowed = (*PARTS, "")
    for name in np.unique(names).tolist():
        if name not in allowed:
            raise InputError(f"unknown part {name!r}", hint=near_match(str(name), allowed))
    part = np.select([names == name for name in PARTS], [0, 1, 2], LEFT_OUT).astype(np.int64)
    how = "as given"
    if (part == 0).any() and not (part == 1).any():
        if units.types is not None:
            raise InputError(
                "a given split by type has no validation part",
                hint="Give one, with types of its own, or use the split that braindash draws.",
            )
        share = SHARES[1] / (SHARES[0] + SHARES[1])
        rng = np.random.default_rng(seed)
        own, how_own = _set_apart(units, np.flatnonzero(part == 0), share, "validation", rng)
        part[own] = 1
        how += f", validation {how_own} from its training part, seed {seed}"
    for name, codes in (("recording", units.recordings), ("type", units.types)):
        if codes is not None and len(_shared(codes, part)):
            raise InputError(
                f"the given split has {len(_shared(codes, part))} {name}s on two sides",
                hint=f"Give every unit of a {name} the same part, or '' to leave it out.",
            )
    return _finish(units, part, how, None)


def _read_units(
    recordings: ArrayLike,
    speakers: ArrayLike | None,
    types: ArrayLike | None,
    strata: ArrayLike | None,
) -> _Units:
    n_units = len(np.atleast_1d(np.asarray(recordings)))
    if not n_units:
        raise InputError("there is no unit to split", hint="Give at least three recordings.")
    return _Units(
        group_codes(recordings, n_units, "recordings"),
        None if speakers is None else group_codes(speakers, n_units, "speakers"),
        None if types is None else group_codes(types, n_units, "types"),
        np.zeros(n_units, dtype=np.int64)
        if strata is None
        else group_codes(strata, n_units, "strata"),
    )


def _set_apart(
    units: _Units, rows: Codes, share: float, part: str, rng: np.random.Generator
) -> tuple[Codes, str]:
    """Choose the units of ``rows`` that go to one part, leaving recordings for the others."""
    recordings = renumber(units.recordings[rows])
    # What remains of the test part is divided once more.
    least = 2 if part == "test" else 1
    if recordings.max() < least:
        raise InputError(
            f"{recordings.max() + 1} recordings are left: there is none for the {part} part",
            hint="Give at least three recordings; cut a long one into several at its pauses.",
        )
    groups, how = _groups(units, rows, recordings)
    for codes, text in ((groups, how), (recordings, "by recording (too few speakers)")):
        chosen = choose_groups(codes, recordings, units.strata[rows], share, least, rng)
        if chosen is not None:
            return rows[chosen], text
    raise InputError(f"no recordings can be set apart for the {part} part", hint="Give more.")


def _groups(units: _Units, rows: Codes, recordings: Codes) -> tuple[Codes, str]:
    """Say which units of ``rows`` belong together, and why."""
    if units.speakers is None:
        return recordings, "by recording"
    speakers = renumber(units.speakers[rows])
    if speakers.max() == 0:
        return recordings, "by recording (one speaker)"
    groups = linked(speakers, recordings)
    if groups.max() == 0:
        return recordings, "by recording (recordings link all speakers)"
    return groups, "by speaker and recording"


def _finish(units: _Units, part: Codes, how: str, shares: NDArray[np.float64] | None) -> Split:
    """Count what is on each side, and warn of what is uneven or shared."""
    sides = [np.flatnonzero(part == number) for number in range(3)]
    for name, rows in zip(PARTS, sides, strict=True):
        if not len(rows):
            raise InputError(
                f"no unit is left for the {name} part",
                hint="Give more recordings, or more types, or other shares or another seed.",
            )
    named = {
        "recordings": units.recordings,
        "speakers": units.speakers,
        "types": units.types,
        "units": np.arange(len(part)),
    }
    sizes = ", ".join(
        " / ".join(str(len(np.unique(codes[rows]))) for rows in sides) + f" {name}"
        for name, codes in named.items()
        if codes is not None
    )
    n_unused = int((part == LEFT_OUT).sum())
    unused = f", {n_unused} units in none" if n_unused else ""
    text = f"{how}: {sizes} in train / validation / test{unused}"
    warnings = tuple(_split_warnings(units, part, sides, shares))
    train, valid, test = sides
    return Split(train, valid, test, units.recordings, text, warnings, units.speakers)


def _split_warnings(
    units: _Units, part: Codes, sides: Sequence[Codes], shares: NDArray[np.float64] | None
) -> Iterator[str]:
    if units.speakers is not None:
        used = units.speakers[part != LEFT_OUT]
        shared = _shared(units.speakers, part)
        if len(shared) and used.min() < used.max():
            yield f"{len(shared)} of {len(np.unique(used))} speakers are on more than one side"
    if shares is None or units.types is not None:
        return
    for name, rows, share in zip(PARTS, sides, shares, strict=True):
        if len(rows) < _LEAST_SHARE * share * len(part):
            found = len(rows) / len(part)
            yield f"the {name} part has {found:.1%} of the units, {share:.0%} were asked for"


def _shared(codes: Codes, part: Codes) -> Codes:
    """Return the codes that are on more than one side."""
    pairs = np.unique(np.stack([codes, part])[:, part != LEFT_OUT], axis=1)
    found, n_sides = np.unique(pairs[0], return_counts=True)
    return np.asarray(found[n_sides > 1])
