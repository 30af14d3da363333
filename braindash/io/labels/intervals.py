"""From the intervals of aligners' tiers to segments: pauses, alphabets, and what is left out."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from braindash.core.ipa import uses_ipa
from braindash.core.phones import SILENCE, is_word, phones_of
from braindash.errors import InputError
from braindash.io.dataset.tables import Problem, raise_problems
from braindash.io.labels.checks import some
from braindash.io.labels.gentle import read_tiers
from braindash.io.labels.table import Segment
from braindash.io.labels.textgrid import Interval

PHONE, WORD, SENTENCE, PROMPT = "phone", "word", "sentence", "prompt"

# MFA puts the speaker before the tier's name where a file has several.
_SPEAKER_MARK = " - "
_DIGITS = frozenset("012")
_AGAIN = re.compile(r"_\d+$")


def wanted_tiers(names: Sequence[str], wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Say which tiers of a file are read, and as what.

    Parameters
    ----------
    names : sequence of str
        Of all tiers of the file, in any case; ``"speaker - words"`` is a tier of words.
    wanted : mapping of str to str
        Names in lower case -> tiers of the table.

    Returns
    -------
    dict of str to (str, str)
        Name in the file -> tier of the table, and the speaker before the name or nothing.
    """
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        # A file may have several tiers of one name; all but the first have a number.
        first = _AGAIN.sub("", name)
        for spelling in (name, first) if first in names else (name,):
            before, mark, plain = spelling.rpartition(_SPEAKER_MARK)
            whole, last = spelling.strip().lower(), plain.strip().lower()
            if whole in wanted:
                found.setdefault(name, (wanted[whole], ""))
            elif mark and last in wanted:
                found.setdefault(name, (wanted[last], before.strip()))
    return found


def translated(
    labels: Collection[str],
) -> tuple[dict[str, tuple[str, ...] | None], list[str]]:
    """Translate every label of a phone tier.

    Parameters
    ----------
    labels : collection of str
        All that the data have.

    Returns
    -------
    phones : dict of str to tuple of str or None
        As of :func:`braindash.core.phones.phones_of`; None for a label that no alphabet has.
    foreign : list of str
        Where no more than half of the labels are ARPABET's or TIMIT's, and none is IPA's, they are
        of another alphabet, and these tell it; else empty.
    """
    ipa = uses_ipa(labels)
    found: dict[str, tuple[str, ...] | None] = {}
    for label in labels:
        try:
            found[label] = phones_of(label, ipa=ipa)
        except InputError:
            found[label] = None
    spoken = {label: names for label, names in found.items() if names != ()}
    foreign = [
        label
        for label, names in spoken.items()
        if names is None or any(not name.isupper() for name in names)
    ]
    return found, sorted(foreign) if not ipa and len(foreign) * 2 >= len(spoken) > 0 else []


@dataclass
class Aligned:
    """Tiers of recordings as aligners write them, before their alphabet is known.

    Attributes
    ----------
    fold_phones, pauses : bool
        See :func:`braindash.io.labels.aligned.read_textgrids`.
    n_files : int
        Files that were read.
    told : list of str
        What was put right in them.
    """

    fold_phones: bool
    pauses: bool
    n_files: int = 0
    told: list[str] = field(default_factory=list)
    _tiers: list[tuple[str, str, Sequence[Interval], Mapping[str, str | None]]] = field(
        default_factory=list
    )
    _left_out: Counter[str] = field(default_factory=Counter)
    _unknown: Counter[str] = field(default_factory=Counter)
    _problems: list[Problem] = field(default_factory=list)

    def textgrid(
        self, path: Path, recording: str, wanted: Mapping[str, str], **who: str | None
    ) -> None:
        """Take the wanted tiers of one file; what is wrong with it is said with all others."""
        self.n_files += 1
        try:
            tiers = read_tiers(path, self.told)
        except InputError as error:
            self.problem(error)
            return
        found = wanted_tiers(list(tiers), wanted)
        for name, (tier, speaker) in found.items():
            named = {"speaker": speaker} if speaker else {}
            self.tier(recording, tier, tiers[name], **(who | named))
        if not found:
            self._problems.append(
                Problem(
                    f"{path} has none of the tiers {', '.join(wanted)}; it has "
                    f"{', '.join(map(repr, tiers)) or 'none'}",
                    'Say which tiers to read: tiers={"name in the file": "phone", ...}; on the '
                    "command line --labels-option tiers=NAME:phone.",
                )
            )

    def tier(
        self, recording: str, tier: str, intervals: Sequence[Interval], **who: str | None
    ) -> None:
        """Take one tier."""
        self._tiers.append((recording, tier, intervals, who))

    def problem(self, error: InputError) -> None:
        """Keep why a file cannot be read: all such files are named together."""
        self._problems.append(Problem(error.message, error.hint))

    def leave_out(self, what: str) -> None:
        """Count something that is left out."""
        self._left_out[what] += 1

    def segments(self, title: str) -> list[Segment]:
        """Return all segments.

        Parameters
        ----------
        title : str
            What was read, for errors.

        Raises
        ------
        InputError
            Lists every file that could not be read, or has none of the tiers; or an unknown phone
            where there are no words, which need none.
        """
        raise_problems(title, self._problems)
        labels = {one.label for _, tier, found, _ in self._tiers if tier == PHONE for one in found}
        if digits := sorted(labels & _DIGITS):
            self.told.append(
                f"the phone labels {', '.join(map(repr, digits))} are taken as pauses: a digit "
                "alone is a stress without a vowel"
            )
        names = self._phone_names(labels)
        self._refuse_unknown(names)
        return [
            segment
            for recording, tier, intervals, who in self._tiers
            for segment in self._segments(recording, tier, intervals, who, names)
        ]

    def _refuse_unknown(self, names: Mapping[str, tuple[str, ...] | None]) -> None:
        unknown = {label for label, phones in names.items() if phones is None}
        words = any(tier == WORD for _, tier, _, _ in self._tiers)
        if not unknown or words or not self.fold_phones:
            return
        recording, label = next(
            (recording, one.label)
            for recording, tier, found, _ in self._tiers
            for one in found
            if tier == PHONE and one.label in unknown
        )
        others = sorted(unknown - {label})
        more = f", and so are {some(others)}" if others else ""
        raise InputError(
            f"{recording}: the phone label {label.strip()!r} is unknown{more}",
            hint="Known are ARPABET, the phones of TIMIT and IPA; noises go in brackets, such as "
            "<noise>. Or take the labels as they are, with fold_phones=False (on the command line "
            "--labels-option fold_phones=no).",
        )

    def _segments(
        self,
        recording: str,
        tier: str,
        intervals: Iterable[Interval],
        who: Mapping[str, str | None],
        names: Mapping[str, tuple[str, ...] | None],
    ) -> Iterator[Segment]:
        for interval in intervals:
            label = self._label(interval.label, tier, names)
            if label is not None:
                yield Segment(recording, interval.start, interval.end, label, tier, **who)

    def _label(
        self, label: str, tier: str, names: Mapping[str, tuple[str, ...] | None]
    ) -> str | None:
        text, pause = label.strip(), SILENCE if self.pauses else None
        if tier == WORD:
            return text.lower() if is_word(text) else pause
        if tier != PHONE or not text:
            return text or pause
        phones = names[label]
        if phones is None:
            self._unknown[text] += 1
            return text
        if not phones:
            return pause
        if not self.fold_phones:
            return text
        if len(phones) > 1:
            self._left_out[f"phone labels of two phones, such as {text!r}"] += 1
            return None
        return phones[0]

    def _phone_names(self, labels: Collection[str]) -> dict[str, tuple[str, ...] | None]:
        """Translate every label once; those of an alphabet that is not known stay as they are."""
        found, foreign = translated(labels)
        if foreign and self.fold_phones:
            self.told.append(
                f"the phone labels are of no alphabet that is known here ({some(foreign)}) "
                "and are taken as they are"
            )
            return {
                label: () if names == () and label.strip().lower() != "q" else (label.strip(),)
                for label, names in found.items()
            }
        return found

    def warnings(self) -> list[str]:
        """Say what was put right, left out, and taken as it is."""
        told = [*dict.fromkeys(self.told)]
        told += [f"left out: {count} {what}" for what, count in self._left_out.items()]
        if self._unknown and self.fold_phones:
            told.append(
                f"{self._unknown.total()} phone labels are unknown and taken as they are: "
                f"{some(sorted(self._unknown))} (noises go in brackets, such as <noise>)"
            )
        return told
