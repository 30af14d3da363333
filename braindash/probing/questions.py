"""What each probing task asks of each unit: labels, types of words, and sides of the units."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from braindash.core.ipa import fold_ipa, uses_ipa
from braindash.core.phones import SILENCE, class_of
from braindash.core.probes.sentences import MARK, spoken_words
from braindash.core.probes.split import Split, given_split, split_units
from braindash.defaults import PARTS
from braindash.errors import InputError
from braindash.files import digest_bytes
from braindash.io.labels.checks import some
from braindash.io.labels.intervals import translated
from braindash.io.labels.table import Labels
from braindash.io.labels.words import WordVectors, word_key
from braindash.probing.tasks import PHONE, WORD, TaskInfo
from braindash.probing.units import Units, speakers_of

# A class with fewer units cannot be on all three sides.
LEAST_EXAMPLES = 3
# Words of a closed set.
_WORD_EXAMPLES, _MOST_WORDS = 10, 100
# Tiers of one file share their boundaries but for rounding.
_SAME_TIME_SECONDS = 0.005
_SENTENCE_TYPES = {"?": "question", ".": "statement", "!": "exclamation"}
ONE_SPEAKER = "one speaker only, so the sides are of other recordings, not of other speakers"


@dataclass(frozen=True, eq=False)
class WordTables:
    """What a user told about words.

    Attributes
    ----------
    categories : mapping of str to str, optional
        Category by word in lower case.
    vectors : WordVectors, optional
    """

    categories: Mapping[str, str] | None = None
    vectors: WordVectors | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """One task, asked of units.

    Attributes
    ----------
    info : TaskInfo
        The task.
    units : Units
        All units of its kind.
    keep : bool array of shape (n_units,)
        Those that have an answer.
    answers : array of str of shape (n_units,), array of float of shape (n_units, n_outputs) or None
        What is foretold; None where it is computed from the sound.
    strata : array of str, shape (n_units,), optional
        Labels to be spread evenly over the sides.
    types : array of str, shape (n_units,), optional
        Types to be kept apart.
    warnings : tuple of str
    """

    info: TaskInfo
    units: Units
    keep: NDArray[np.bool_]
    answers: NDArray[Any] | None = None
    strata: NDArray[Any] | None = None
    types: NDArray[Any] | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def digest(self) -> str:
        """Digest of the answers and of the units that take part."""
        return digest_bytes(
            self.keep.tobytes(), *(_bytes(part) for part in (self.answers, self.strata, self.types))
        )


def ask(info: TaskInfo, units: Units, labels: Labels, tables: WordTables) -> Question:
    """Return every unit its answer to a task.

    Parameters
    ----------
    info : TaskInfo
        The task.
    units : Units
        Units of its kind.
    labels : Labels
        Where they come from; other tiers may be needed.
    tables : WordTables
        What the user told about words.

    Returns
    -------
    Question

    Raises
    ------
    InputError
        When too few units have an answer, or a file that the task needs was not given.
    """
    question = _asked(info, units, labels, tables)
    if not info.weak:
        return question
    return replace(question, warnings=(f"{info.name} is weak: {info.weak}", *question.warnings))


def _asked(info: TaskInfo, units: Units, labels: Labels, tables: WordTables) -> Question:
    if info.space is not None:
        return Question(info, units, np.ones(len(units), dtype=bool))
    given = _composed(np.asarray(units.table["label"].astype(str), dtype=object))
    if info.units == PHONE:
        return _ask_phones(info, units, labels, given)
    if info.problem == "multilabel":
        return _ask_sets(info, units, labels)
    if info.problem == "transcription":
        spoken = {text: bool(spoken_words(text.partition(MARK)[2])) for text in set(given)}
        return Question(info, units, np.array([spoken[text] for text in given]), given)
    if info.needs == "word_vectors":
        return _ask_vectors(info, units, given, tables)
    if info.needs == "categories":
        categories = _need(tables.categories, info, "categories")
        answers = np.array([categories.get(word_key(word), "") for word in given], dtype=object)
        lacking = len({word for word, answer in zip(given, answers, strict=True) if not answer})
        told = [f"{info.name}: {lacking} words have no category"] if lacking else []
        return _ask_categories(info, units, given, answers, told)
    if info.name == "sentence_type":
        answers = np.array([_SENTENCE_TYPES.get(text.rstrip()[-1:], "") for text in given], object)
        return _classes(info, units, answers, [], least=LEAST_EXAMPLES)
    least = _WORD_EXAMPLES if info.name == "word" else LEAST_EXAMPLES
    most = _MOST_WORDS if info.units == WORD else None
    return _classes(info, units, given, [], least=least, most=most)


def _composed(given: NDArray[np.object_]) -> NDArray[np.object_]:
    """Make labels that differ in the form of their accents (NFC, NFD) one; others stay as they are.

    Labels all of one form keep it, and their results keep their keys.
    """
    forms = {label: normalize("NFC", label) for label in set(given.tolist())}
    if len(set(forms.values())) == len(forms):
        return given
    return np.array([forms[label] for label in given], dtype=object)


def _ask_phones(
    info: TaskInfo, units: Units, labels: Labels, given: NDArray[np.object_]
) -> Question:
    """All tasks about phones have the same units, so that they share one Gram matrix."""
    names = np.array(["" if label == SILENCE else label for label in given], dtype=object)
    phones = _classes(info, units, names, [], least=LEAST_EXAMPLES)
    if info.name == "boundary":
        starts = _begins_word(units, labels)
        answers = np.where(starts, "begins a word", "inside a word").astype(object)
        return replace(phones, answers=answers)
    if info.phones is None:
        return phones
    answers = _phone_classes(names, info.phones)
    unknown = phones.keep & (answers == "")
    if unknown.sum() == phones.keep.sum():
        raise InputError(
            f"{info.name}: the phone labels, such as {names[unknown][0]!r}, are of no "
            "alphabet that is known here, so it is not known how their sounds are made",
            hint="Known are ARPABET, the phones of TIMIT and IPA; or leave the task out.",
        )
    if not unknown.any():
        return replace(phones, answers=answers)
    told = f"{info.name}: {unknown.sum()} units with labels such as {names[unknown][0]!r} are no "
    return replace(
        phones,
        answers=answers,
        keep=phones.keep & ~unknown,
        warnings=(*phones.warnings, f"{told}phones that are known and are left out"),
    )


def _ask_sets(info: TaskInfo, units: Units, labels: Labels) -> Question:
    """Say which labels of another tier have their middle in each unit's span."""
    assert info.reads is not None  # of sets there is one
    table = labels.tier(info.reads).table
    table = table[table["label"] != SILENCE]
    inside = dict(iter(table.groupby("recording")))
    answers = np.full(len(units), "", dtype=object)
    for name, rows in units.table.groupby("recording"):
        if name not in inside:
            continue
        own = inside[name]
        middles = (own["start"].to_numpy() + own["end"].to_numpy()) / 2
        spoken = _composed(np.asarray(own["label"].astype(str), dtype=object))
        for at, start, end in rows[["start", "end"]].itertuples():
            found = set(spoken[(middles >= start) & (middles < end)])
            answers[at] = " ".join(sorted("_".join(label.split()) for label in found))
    keep = np.array([bool(text) for text in answers])
    if not keep.any():
        raise InputError(
            f"{info.name}: no {units.name} holds a {info.reads}",
            hint="Check that both tiers are of the same recordings and times.",
        )
    told = () if keep.all() else (f"{info.name}: {(~keep).sum()} units hold no {info.reads}",)
    return Question(info, units, keep, answers, warnings=told)


def _phone_classes(names: NDArray[np.object_], classes: Mapping[str, str]) -> NDArray[np.object_]:
    """Say which class every phone has; empty where none is known."""
    found: dict[str, str] = {}
    known, foreign = translated(set(names) - {""})
    if foreign:
        # Their letters are others: pinyin's "zh" is no ARPABET's.
        return np.full(len(names), "", dtype=object)
    ipa = uses_ipa(names)
    folded = ipa or any(name in classes for name in names)
    for name in set(names):
        # Labels as they stand in a source may be in lower case, or with marks.
        phones: tuple[str, ...] = (name,) if folded else (name.upper(),)
        if ipa and name not in classes:
            phones = fold_ipa(name) or (name,)
        elif name[-1:].isdigit():
            phones = known[name] or (name,)  # vowels as they stand in a source may have a stress
        found[name] = class_of(phones[0], classes) if len(phones) == 1 else ""
    return np.array([found[name] for name in names], dtype=object)


def _begins_word(units: Units, labels: Labels) -> NDArray[np.bool_]:
    words = labels.tier(WORD).table
    starts = {name: np.sort(rows) for name, rows in words.groupby("recording")["start"]}
    found = np.zeros(len(units), dtype=bool)
    for name, rows in units.table.groupby("recording"):
        known = starts.get(name)
        if known is None:
            continue
        at = np.asarray(rows["start"], dtype=float)
        place = np.clip(np.searchsorted(known, at), 1, len(known) - 1) if len(known) > 1 else 0
        near = np.minimum(np.abs(known[place] - at), np.abs(known[place - 1] - at))
        found[rows.index] = near <= _SAME_TIME_SECONDS
    return found


def _ask_categories(
    info: TaskInfo,
    units: Units,
    given: NDArray[np.object_],
    answers: NDArray[np.object_],
    told: list[str],
) -> Question:
    """Keep the categories with words enough to learn some and be tested on others."""
    words = pd.DataFrame({"word": given, "category": answers})
    n_words = words[words["category"] != ""].groupby("category")["word"].nunique()
    few = sorted(n_words.index[n_words < LEAST_EXAMPLES])
    if few:
        told.append(
            f"{info.name}: {len(few)} categories with fewer than {LEAST_EXAMPLES} words are left "
            f"out: {some(few)}"
        )
        answers = np.where(np.isin(answers.astype(str), few), "", answers)
    return _classes(info, units, answers, told, least=LEAST_EXAMPLES, types=given)


def _ask_vectors(
    info: TaskInfo, units: Units, given: NDArray[np.object_], tables: WordTables
) -> Question:
    vectors = _need(tables.vectors, info, "word-vectors")
    answers, found = vectors.of(list(given))
    told = []
    if not found.all():
        lacking = sorted(set(given[~found]))
        told.append(f"{info.name}: {len(lacking)} words have no vector: {some(lacking)}")
    if not found.any():
        raise InputError(f"{info.name}: no word has a vector", hint="Check the word vectors.")
    return Question(info, units, found, answers, None, given, tuple(told))


def _classes(
    info: TaskInfo,
    units: Units,
    answers: NDArray[np.object_],
    told: list[str],
    *,
    least: int,
    most: int | None = None,
    types: NDArray[np.object_] | None = None,
) -> Question:
    """Keep the classes with enough units; of many the most frequent ones."""
    counts = pd.Series(answers[answers != ""]).value_counts()
    # Equal counts in the order of the alphabet, whatever the order of the units.
    counts = counts.sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    enough = counts[counts >= least]
    rare = sorted(set(counts.index) - set(enough.index))
    if rare:
        told.append(
            f"{info.name}: {len(rare)} classes with fewer than {least} units are left out: "
            f"{some(rare)}"
        )
    if most is not None and len(enough) > most:
        told.append(f"{info.name}: the {most} most frequent of {len(enough)} classes are taken")
        enough = enough[:most]
    if len(enough) < 2:
        raise InputError(
            f"{info.name}: {len(enough)} classes have {least} units or more, of "
            f"{len(units)} units ({units.name})",
            hint="A probe needs two classes: give more recordings, or leave the task out.",
        )
    keep = np.isin(answers.astype(str), np.asarray(enough.index, dtype=str))
    return Question(info, units, keep, answers, answers, types, tuple(told))


def _need(table: Any, info: TaskInfo, option: str) -> Any:
    if table is None:
        raise InputError(
            f"the task {info.name!r} needs a table that was not given",
            hint=f"Give it with --{option} FILE, or leave the task out.",
        )
    return table


# ---- sides ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sides:
    """The units of a question that take part, and on which side each is.

    Attributes
    ----------
    rows : int array of shape (n_used,)
        Their places among all units of the kind.
    split : Split
        Over these rows.
    warnings : tuple of str
    """

    rows: NDArray[np.intp]
    split: Split
    warnings: tuple[str, ...]


def divide(
    question: Question,
    usable: NDArray[np.bool_],
    *,
    given: bool,
    shares: tuple[float, float, float],
    folds: int,
    seed: int,
) -> tuple[Sides, ...]:
    """Divide a question's units among train, validation and test.

    Where types of words are kept apart, there are several divisions on the same recordings: the
    types fall into as many folds, and in each division one fold's are tested, the next one's choose
    the penalty, and the others are learnt from. Every test unit is so tested once.

    Parameters
    ----------
    question : Question
        What is asked.
    usable : bool array of shape (n_units,)
        Units that have features and sound.
    given : bool
        Take the sides that the labels' source has for its recordings.
    shares : tuple of three floats
        Of a drawn split.
    folds : int
        Of types.
    seed : int
        Of a drawn split, and of the folds.

    Returns
    -------
    tuple of Sides
        One, or one for each fold.

    Raises
    ------
    InputError
        When there is nothing to divide, or a side would be empty.
    """
    rows = np.flatnonzero(question.keep & usable)
    name = question.info.name
    if not len(rows):
        raise InputError(f"{name}: no unit with sound is left", hint="Check the audio files.")
    table = question.units.table.iloc[rows]
    recordings = np.asarray(table["recording"].astype(str))
    speakers = speakers_of(question.units)
    who = None if speakers is None else speakers[rows]
    strata = None if question.strata is None else question.strata[rows]
    told = []
    if who is not None and len(set(who)) == 1:
        told.append(f"{name}: {ONE_SPEAKER}")
    if given:
        parts = np.array([str(part) if part in PARTS else "" for part in table["split"]])
        split = given_split(parts, recordings, speakers=who, strata=strata, seed=seed)
    else:
        split = split_units(recordings, speakers=who, strata=strata, shares=shares, seed=seed)
    if question.types is None:
        return (_side(question, rows, split, told),)
    sides, count = [], 0
    for one in _by_type(question.types[rows], strata, split, folds, seed):
        count += 1
        parts = np.full(len(rows), "", dtype="U10")
        for side, members in one.items():
            parts[members] = side
        try:
            _require_two_types(name, question.types[rows], one)
            again = given_split(parts, recordings, speakers=who, types=question.types[rows])
            how = f"{split.description}; words apart as well: {again.description}"
            again = replace(again, description=how, of_test=split.test)
            sides.append(_side(question, rows, again, told))
        except InputError as error:
            failed = error
    if not sides:
        raise failed
    n_failed = count - len(sides)
    if n_failed:
        text = f"{name}: {n_failed} of {count} divisions of the words hold too few units"
        sides = [replace(one, warnings=(*one.warnings, text)) for one in sides]
    return tuple(sides)


def _require_two_types(name: str, types: NDArray[Any], sides: dict[str, NDArray[np.int64]]) -> None:
    """Refuse a side of one word: nothing varies there that could be foretold."""
    for side, rows in sides.items():
        if len(set(types[rows])) < 2:
            raise InputError(
                f"{name}: the {side} part holds fewer than two words",
                hint="Give more recordings, or more words.",
            )


def _side(question: Question, rows: NDArray[np.intp], split: Split, told: list[str]) -> Sides:
    if question.answers is None or question.info.problem != "classification":
        return Sides(rows, split, tuple(told))
    closed, left_out = _closed(split, question.answers[rows], question.info.name)
    return Sides(rows, closed, (*told, *left_out))


def _by_type(
    types: NDArray[Any],
    strata: NDArray[Any] | None,
    split: Split,
    folds: int,
    seed: int,
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Keep types apart on top of recordings: give the units of each side, fold by fold."""
    kinds, first, code = np.unique(types.astype(str), return_index=True, return_inverse=True)
    fewest = len(kinds)
    if strata is not None:
        fewest = int(np.unique(strata[first].astype(str), return_counts=True)[1].min())
    count = min(folds, fewest)
    if count < LEAST_EXAMPLES:
        raise InputError(
            f"{fewest} types cannot be kept apart",
            hint="Give at least three words of each class.",
        )
    fold = _folds_of(first, strata, count, np.random.default_rng(seed))[code]
    sides = {part: getattr(split, part) for part in PARTS}
    for number in range(count):
        own = {"test": fold == number, "valid": fold == (number + 1) % count}
        own["train"] = ~own["test"] & ~own["valid"]
        yield {side: rows[own[side][rows]] for side, rows in sides.items()}


def _folds_of(
    first: NDArray[np.intp], strata: NDArray[Any] | None, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Deal types to folds in turn, those of each class one after the other, (n_types,)."""
    mixed = rng.permutation(len(first))
    classes = (
        np.zeros(len(first)) if strata is None else np.unique(strata[first], return_inverse=True)[1]
    )
    dealt = mixed[np.argsort(np.asarray(classes)[mixed], kind="stable")]
    fold = np.empty(len(first), dtype=np.intp)
    fold[dealt] = np.arange(len(first)) % count
    return fold


def _closed(split: Split, answers: NDArray[Any], name: str) -> tuple[Split, list[str]]:
    """Leave out the classes that were never learnt, or never tested."""
    learnt = set(answers[split.train])
    there = learnt & set(answers[split.test])
    absent = sorted(set(answers[np.concatenate([split.train, split.valid, split.test])]) - there)
    if not absent:
        return split, []
    inside = np.isin(answers.astype(str), np.array(sorted(there), dtype=str))
    kept = {
        part: rows[inside[rows]] for part in PARTS if (rows := getattr(split, part)) is not None
    }
    told = f"{name}: {len(absent)} classes are not on both sides and are left out: {some(absent)}"
    if len(there) < 2 or not all(len(rows) for rows in kept.values()):
        raise InputError(
            f"{name}: only {len(there)} classes have units to learn from and units to be tested on",
            hint="Give more recordings, or another --seed, or leave the task out.",
        )
    return replace(split, **kept), [told]


def _bytes(part: NDArray[Any] | None) -> bytes:
    if part is None:
        return b"-"
    if part.dtype.kind == "f":
        return np.ascontiguousarray(part, dtype="<f4").tobytes()
    return "\0".join(map(str, part.tolist())).encode()
