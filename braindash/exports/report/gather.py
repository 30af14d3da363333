"""What a report is about: results put together by model, the two that are compared, their names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference, Group, compare
from braindash.errors import InputError
from braindash.probing.result import ProbingResult
from braindash.tuning.result import TuningResult
from braindash.viewer.drawn import can_show
from braindash.views.captions import short_names
from braindash.views.finding import finding_sentences, told_regions

Result = EncodingResult | ProbingResult | TuningResult
MOST_RESULTS = 1000
"""Results of one report; more would be a store. Its size is what limits it before."""


@dataclass(frozen=True)
class Gathered:
    """The content of a report, before it is drawn.

    Attributes
    ----------
    groups : tuple of Group
        Encoding results, those of one model and settings together; A, then B, then others.
    names : tuple of str
        What each group is called.
    pair : Difference or None
        A minus B, where there are two that can be compared.
    tuned : bool
        Whether A was tuned from B.
    notes : tuple of str
        What a reader must know, such as why A and B are not subtracted.
    probings : tuple of ProbingResult
    tunings : tuple of TuningResult
    """

    groups: tuple[Group, ...]
    names: tuple[str, ...]
    pair: Difference | None
    tuned: bool
    notes: tuple[str, ...]
    probings: tuple[ProbingResult, ...]
    tunings: tuple[TuningResult, ...]

    @property
    def simulated(self) -> bool:
        """Whether anything in it was made by a generator."""
        tuned = any(bool(one.record["data"]["simulated"]) for one in self.tunings)
        probed = any(one.simulated for one in self.probings)
        return tuned or probed or any(one.simulated for one in self.groups)

    @property
    def n_results(self) -> int:
        """Number of results."""
        return sum(one.n_subjects for one in self.groups) + len(self.probings) + len(self.tunings)

    @property
    def drawable(self) -> tuple[int, ...]:
        """Places of the groups whose maps a surface can show."""
        return tuple(place for place, one in enumerate(self.groups) if _is_drawn(one))

    def sentences(self) -> list[str]:
        """Say what was found, as the page Overview does; empty without encoding results."""
        if not self.groups:
            return []
        pair = self.pair
        alike = pair is not None and pair.a.first.n_layers == pair.b.first.n_layers
        group = pair.a if pair is not None and alike else self.groups[0]
        table: pd.DataFrame = pair.regions() if pair is not None and alike else group.regions()
        return finding_sentences(
            group,
            pair if alike else None,
            table,
            told_regions(group.region_names),
            names=(self.names[0], self.names[1] if len(self.names) > 1 else ""),
            tuned=self.tuned,
        )


def _is_drawn(group: Group) -> bool:
    try:
        group.require_shared_targets()
    except InputError:  # nothing brings the targets of several subjects together
        return False
    return can_show(group.space, group.n_targets, group.surface)


def gather(results: Sequence[Result], bases: Mapping[str, str]) -> Gathered:
    """Put results together.

    Parameters
    ----------
    results : sequence of EncodingResult, ProbingResult or TuningResult
        The first encoding result is of model A; where one of two models was tuned from the other,
        the tuned one is A.
    bases : mapping of str to str
        Fingerprint of a tuned model to that of the model it was tuned from.

    Raises
    ------
    InputError
        There is none, too many, or one twice.
    """
    if not 1 <= len(results) <= MOST_RESULTS:
        raise InputError(
            f"a report of {len(results)} results",
            hint=f"Give 1 to {MOST_RESULTS} results; write several reports of more.",
        )
    keys = [one.key for one in results]
    twice = sorted({key[:8] for key in keys if keys.count(key) > 1})
    if twice:
        raise InputError(f"the results {', '.join(twice)} are given twice", hint="Give each once.")
    groups = _grouped(one for one in results if isinstance(one, EncodingResult))
    groups, tuned = _ordered(groups, bases)
    pair, notes = _paired(groups)
    if pair is not None:
        groups = [pair.a, pair.b, *groups[2:]]
    return Gathered(
        groups=tuple(groups),
        names=_named(groups),
        pair=pair,
        tuned=tuned,
        notes=notes,
        probings=tuple(one for one in results if isinstance(one, ProbingResult)),
        tunings=tuple(one for one in results if isinstance(one, TuningResult)),
    )


def _grouped(results: Iterable[EncodingResult]) -> list[Group]:
    """Put results of one model on the same data together, one per subject, in their order."""
    groups: list[Group] = []
    for result in results:
        for place, group in enumerate(groups):
            if not _alike(group.first, result) or result.subject in group.subjects:
                continue
            try:
                groups[place] = Group.of([*group.results, result])
            except InputError:  # of other settings, stories or regions
                continue
            break
        else:
            groups.append(Group.of([result]))
    return groups


def _alike(one: EncodingResult, other: EncodingResult) -> bool:
    def of(result: EncodingResult) -> tuple[str, ...]:
        model = str(result.provenance["model"]["fingerprint"])
        return (result.data, model, str(result.provenance["strategy"]))

    return of(one) == of(other) and not one.members and not other.members


def _ordered(groups: list[Group], bases: Mapping[str, str]) -> tuple[list[Group], bool]:
    """Bring a model and the one it was tuned from to the front, the tuned one first."""

    def fingerprint(group: Group) -> str:
        return str(group.first.provenance["model"]["fingerprint"])

    for after in groups:
        for before in groups:
            of = bases.get(fingerprint(after))
            if of == fingerprint(before) and after.first.data == before.first.data:
                rest = [one for one in groups if one is not after and one is not before]
                return [after, before, *rest], True
    return groups, False


def _paired(groups: Sequence[Group]) -> tuple[Difference | None, tuple[str, ...]]:
    """Pair the first two groups; say why where they cannot be compared, or lose subjects."""
    if len(groups) < 2:
        return None, ()
    try:
        pair = compare(groups[0].results, groups[1].results)
        if pair.a.first.n_layers == pair.b.first.n_layers:
            pair.regions()  # refuses what has no intervals on one side only
    except InputError as error:
        return None, (f"A and B are not subtracted: {error.message}.",)
    notes = []
    if pair.unpaired:
        notes.append(
            f"Only one of A and B has the subjects {', '.join(pair.unpaired)}: they are left out."
        )
    if pair.settings:
        notes.append(
            f"A and B also differ in {', '.join(pair.settings)}: the difference is not of the "
            "models alone."
        )
    return pair, tuple(notes)


def _named(groups: Sequence[Group]) -> tuple[str, ...]:
    """Name groups shortly, and so that no two names are equal."""
    short = short_names([one.model for one in groups])
    names = [short[one.model] for one in groups]
    told: list[str] = []
    for name, group in zip(names, groups, strict=True):
        who = group.first.subject if group.n_subjects == 1 else f"{group.n_subjects} subjects"
        is_alone = names.count(name) == 1
        told.append(name if is_alone else f"{name} · {who} · {group.first.key[:6]}")
    return tuple(told)
