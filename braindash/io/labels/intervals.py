"""From the intervals of aligners' tiers to segments: pauses, alphabets, and what is left out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from braindash.core.phones import SILENCE, is_word, phones_of
from braindash.errors import InputError
from braindash.io.labels.table import Segment
from braindash.io.labels.textgrid import Interval, read_textgrid

PHONE, WORD, SENTENCE = "phone", "word", "sentence"

# MFA puts the speaker before the tier's name where a file has several.
_SPEAKER_MARK = " - "


class Taken:
    """Turns intervals into segments, and counts what is left out."""

    def __init__(self, *, fold_phones: bool, pauses: bool) -> None:
        self._fold_phones, self._pauses = fold_phones, pauses
        self.left_out: Counter[str] = Counter()
        self.n_files = 0

    def textgrid(
        self, path: Path, recording: str, wanted: Mapping[str, str], **who: str | None
    ) -> Iterator[Segment]:
        """Return the segments of the wanted tiers of one file."""
        self.n_files += 1
        tiers = read_textgrid(path)
        n_found = 0
        for name, intervals in tiers.items():
            before, mark, plain = name.rpartition(_SPEAKER_MARK)
            tier = wanted.get(name.lower(), wanted.get(plain.lower()))
            if tier is not None:
                n_found += 1
                named = {"speaker": before} if mark and name.lower() not in wanted else {}
                yield from self.tier(recording, tier, intervals, **(who | named))
        if not n_found:
            raise InputError(
                f"{path} has none of the tiers {', '.join(wanted)}; it has "
                f"{', '.join(map(repr, tiers)) or 'none'}",
                hint='Say which tiers to read: tiers={"name in the file": "phone", ...}.',
            )

    def tier(
        self, recording: str, tier: str, intervals: Iterable[Interval], **who: str | None
    ) -> Iterator[Segment]:
        """Return the segments of one tier."""
        for interval in intervals:
            label = self._label(interval.label.strip(), tier, recording)
            if label is not None:
                yield Segment(recording, interval.start, interval.end, label, tier, **who)

    def _label(self, text: str, tier: str, recording: str) -> str | None:
        if tier == WORD:
            return text.lower() if is_word(text) else self._pause()
        if tier != PHONE or not text:
            return text or self._pause()
        try:
            phones = phones_of(text)
        except InputError as error:
            if not self._fold_phones:
                return text
            raise InputError(
                f"{recording}: {error.message}",
                hint=f"{error.hint} Or take the labels as they are, with fold_phones=False.",
            ) from error
        if not phones:
            return self._pause()
        if not self._fold_phones:
            return text
        if len(phones) > 1:
            self.left_out[f"phone labels of two phones, such as {text!r}"] += 1
            return None
        return phones[0]

    def _pause(self) -> str | None:
        return SILENCE if self._pauses else None

    def warnings(self) -> list[str]:
        """Say what was left out."""
        return [f"left out: {count} {what}" for what, count in self.left_out.items()]
