"""A lab's data as its manifest describes them: subjects, stories, files and times."""

import difflib
import os
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from braindash.core.timing import Timing
from braindash.defaults import PARTS, Part
from braindash.errors import InputError, near_match
from braindash.files import find_placeholder
from braindash.io.dataset.arrays import available_keys
from braindash.io.dataset.responses import ResponseSource
from braindash.io.dataset.tables import EVERY, ManifestTables, RunTable, SubjectTable
from braindash.names import absent, existing, folded, given_path

PLACEHOLDERS = ("subject", "story", "hemi", "run", "session")
HEMISPHERES = ("L", "R")
WITHIN_STORY = "within-story"
_STORIES_NAMED = 12


@dataclass(frozen=True)
class Split:
    """Which stories of a subject do what; no story stands in two, but one scored within itself."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def parts(self) -> Mapping[str, Part]:
        """What each story does, once; ``"test"`` of one that is scored within itself."""
        within = self.test and self.train == self.test
        parts: tuple[Part, ...] = ("test",) if within else PARTS
        return {story: part for part in parts for story in getattr(self, part)}


@dataclass(frozen=True)
class Dataset:
    """Data described by a manifest; made by :func:`braindash.io.dataset.manifest.load_manifest`.

    Attributes
    ----------
    path : Path
        The manifest.
    tables : ManifestTables
        What stands in it.
    found_audio : mapping of str to Path
        Audio files of ``dataset.audio_dir`` by story.
    left_out : tuple of str
        Stories that are not used, whatever the manifest says: :meth:`without`.
    not_fetched : tuple of Path
        Files there that are links to nothing, or that stubs of iCloud stand for: no story is named
        after them.
    text : str
        The manifest as it is written, or would be.
    """

    path: Path
    tables: ManifestTables
    found_audio: Mapping[str, Path]
    left_out: tuple[str, ...] = ()
    not_fetched: tuple[Path, ...] = ()
    text: str = field(default="", repr=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the data."""
        return self.tables.dataset.name

    @property
    def simulated(self) -> bool:
        """Whether a program made these data up."""
        return self.tables.dataset.simulated

    @property
    def folder(self) -> Path:
        """Folder of the manifest, to which all paths in it are relative."""
        return self.path.parent

    @property
    def space(self) -> str:
        """What a target is: ``"fsaverage5"``, ``"native-volume"``, ``"roi"``..."""
        return self.tables.responses.space

    @property
    def zscored(self) -> str:
        """How the stored responses were standardised: ``"none"`` or ``"run"``."""
        return self.tables.responses.zscored

    @property
    def subjects(self) -> tuple[str, ...]:
        """Ids of the subjects, in the order of the manifest."""
        return tuple(table.id for table in self.tables.subjects)

    @cached_property
    def test_stories(self) -> tuple[str, ...]:
        """Every story that is kept for the score of some subject."""
        own = [table.test for table in self.tables.subjects if table.test is not None]
        given = self.tables.splits.test if len(own) < len(self.tables.subjects) else ()
        return tuple(dict.fromkeys((*given, *(story for stories in own for story in stories))))

    @cached_property
    def known_stories(self) -> tuple[str, ...]:
        """Every story that has audio for some subject, sorted."""
        given = {run.story for run in self.tables.runs if run.audio is not None}
        return tuple(sorted((set(self.found_audio) | given) - {EVERY} - set(self.left_out)))

    def without(self, stories: Iterable[str]) -> "Dataset":
        """Return the data without some stories, in all splits."""
        return replace(self, left_out=(*self.left_out, *stories))

    def subject(self, subject: str) -> SubjectTable:
        """Return the table of one subject.

        Raises
        ------
        InputError
            The manifest has no such subject.
        """
        found = self._by_id.get(subject)
        if found is None:
            raise InputError(
                f"{self.path} has no subject {subject!r}", hint=near_match(subject, self.subjects)
            )
        return found

    @cached_property
    def _by_id(self) -> Mapping[str, SubjectTable]:
        return {table.id: table for table in reversed(self.tables.subjects)}

    def stories(self, subject: str) -> tuple[str, ...]:
        """List the stories that have audio and responses of a subject, sorted."""
        self.subject(subject)
        return tuple(
            story
            for story in self.known_stories
            if self._audio(subject, story) is not None
            and not self.missing_responses(subject, story)
        )

    def split(self, subject: str) -> Split:
        """Say which stories of a subject train, validate and test.

        Parameters
        ----------
        subject : str
            The subject's id.

        Returns
        -------
        Split
            ``train = "*"`` becomes every other story with audio and responses of this subject.

        Raises
        ------
        InputError
            The subject is unknown, or lacks the responses of a story that a split names.
        """
        if self.scheme(subject) == WITHIN_STORY:
            return self._split_within(subject)
        table, own = self.tables.splits, self.subject(subject).test
        given = table.test if own is None else own
        test, valid, train = (
            tuple(story for story in stories if story not in self.left_out)
            for stories in (given, table.valid, table.train)
        )
        if not test:
            raise InputError(
                f"all test stories of {self.path} are left out: {', '.join(given)}",
                hint="Put their recordings right, or name another test story in [splits].",
            )
        for story in (*test, *valid, *(s for s in train if s != EVERY)):
            self._require_files(subject, story)
        if EVERY in train:
            kept = {*test, *valid}
            train = tuple(story for story in self.stories(subject) if story not in kept)
        return Split(train=train, valid=valid, test=test)

    def scheme(self, subject: str) -> str:
        """Say how a subject is scored: ``"across-stories"`` or ``"within-story"``."""
        own = self.subject(subject).scheme
        return self.tables.splits.scheme if own is None else own

    def _split_within(self, subject: str) -> Split:
        """Return the one story that is trained on and tested, in blocks."""
        own = self.subject(subject).test
        given = self.tables.splits.test if own is None else own
        heard = [story for story in given or self.stories(subject) if story not in self.left_out]
        if len(heard) != 1:
            raise InputError(
                f"{subject!r} is to be scored within one story, but there are {len(heard)}: "
                f"{', '.join(heard) or 'none'}",
                hint="Name one as test of this subject in [[subjects]], or set scheme = "
                "'across-stories'.",
            )
        self._require_files(subject, heard[0])
        return Split(train=(heard[0],), valid=(), test=(heard[0],))

    def audio_path(self, story: str, subject: str | None = None) -> Path:
        """Return the audio file of a story.

        Parameters
        ----------
        story : str
            The story.
        subject : str, optional
            Needed when ``[[runs]]`` gives single subjects audio of their own.

        Returns
        -------
        Path
            The file; it existed when the manifest was loaded.

        Raises
        ------
        InputError
            The story has no audio, or it depends on the subject and none is given.
        """
        if subject is None:
            own = [run for run in self.tables.runs if run.story == story and run.audio]
            if any(run.subject != EVERY for run in own):
                raise InputError(
                    f"the audio of story {story!r} depends on the subject ({self.path})",
                    hint="Ask for the audio of one subject: audio_path(story, subject).",
                )
        path = self._audio(subject or EVERY, story)
        if path is None:
            raise InputError(
                f"{self.path} has no audio for the story {story!r}",
                hint=near_story(story, self.known_stories),
            )
        return path

    def annotation_path(self, story: str) -> Path | None:
        """Return the file that says what is spoken when in a story; None where there is none.

        A TextGrid, in any case of its ending; or what gentle wrote: ``STORY/align.json``,
        ``STORY.json`` or ``STORY/align.csv``. One that is here comes before one that was not
        fetched.
        """
        own = [run.alignment for run in self._rows(EVERY, story) if run.alignment is not None]
        if own:
            return self._resolved(own[-1])
        folder = self.tables.dataset.alignment_dir
        if folder is None:
            return None
        names = ("{}.TextGrid", "{}/align.json", "{}.json", "{}/align.csv")
        paths = [self._own(self._resolved(folder) / one.format(story), story) for one in names]
        there = [path for path in paths if os.path.lexists(path)]
        return next(filter(os.path.exists, there), there[0] if there else None)

    @property
    def is_annotated(self) -> bool:
        """Whether the manifest says where words and phones of its stories are."""
        return self.tables.dataset.alignment_dir is not None or any(
            run.alignment is not None for run in self.tables.runs
        )

    def timing(self, subject: str, story: str) -> Timing:
        """Say when the response rows of a subject and story were acquired, in audio time."""
        run = self._run(subject, story)
        return Timing(
            tr=run["tr"],
            first_volume=run["first_volume"],
            audio_onset=run["audio_onset"],
            slice_time=run["slice_time"],
        )

    def heard_otherwise(self, subject: str, story: str) -> bool:
        """Say whether others heard the same recording while their rows were at other times."""
        own = self.timing(subject, story), self._audio(subject, story)
        for other in self._timed_apart(story):
            theirs = self.timing(other, story), self._audio(other, story)
            same_sound, same_times = theirs[1] == own[1], theirs[0] == own[0]
            if same_sound and not same_times and not self.missing_responses(other, story):
                return True
        return False

    def heard_alike(self, subject: str, story: str) -> Iterator[str]:
        """Yield the others who heard the same recording at the same times of their rows."""
        own = self.timing(subject, story), self._audio(subject, story)
        for other in self.subjects:
            if other == subject or self.missing_responses(other, story):
                continue
            if (self.timing(other, story), self._audio(other, story)) == own:
                yield other

    def _timed_apart(self, story: str) -> Iterator[str]:
        """Yield the subjects with a row of their own in [[runs]], and one of those without."""
        without = False
        for subject in self.subjects:
            own = any((subject, one) in self._rows_of for one in (story, EVERY))
            if own or not without:
                yield subject
            without = without or not own

    def tolerance(self, subject: str, story: str) -> float:
        """Return the seconds by which rows and audio of a story may miss each other."""
        return float(self._run(subject, story)["tolerance"])

    def responses(self, subject: str, story: str) -> ResponseSource:
        """Say where the responses of a subject to a story lie; the files need not exist.

        Parameters
        ----------
        subject, story : str
            Which responses.

        Returns
        -------
        ResponseSource
            One file, or two where the template holds ``{hemi}``: left, then right; of further
            presentations as many.

        Raises
        ------
        InputError
            The subject is unknown, or the template holds ``{run}`` and no run is given.
        """
        table, run = self.tables.responses, self._run(subject, story)

        def files(template: str) -> tuple[Path, ...]:
            hemispheres = HEMISPHERES if "hemi" in placeholders(template) else ("",)
            return tuple(
                self._of_story(self._filled(template, subject, story, run, hemi), story)
                for hemi in hemispheres
            )

        given = run.get("response") or ((table.path,) if table.path else ())
        if not given:
            raise InputError(
                f"no response is given for subject {subject!r}, story {story!r}",
                hint="Add [[runs]] with subject, story and response, or give responses.path.",
            )
        key, repeats_key = (
            self._filled(name, subject, story, run) if name else None
            for name in (run.get("key", table.key), table.repeats_key)
        )
        return ResponseSource(
            paths=files(given[0]),
            key=key,
            repeats_key=key if table.repeats_key == table.key else repeats_key,
            repeats_paths=files(table.repeats_path) if table.repeats_path else (),
            units=self.subject(subject).units,
            score_from_row=run.get("score_from_row", 0),
            more=tuple(files(template) for template in given[1:]),
            mask=self.mask_path(subject),
            columns=self.columns_path(subject),
        )

    def missing_responses(self, subject: str, story: str) -> str:
        """Say what is missing for the responses of a story; empty when they are there."""
        try:
            source = self.responses(subject, story)
        except InputError as error:
            return error.message
        absent_files = [_absence(path) for path in source.files if not path.is_file()]
        if absent_files or not self._holds_several:
            return " and ".join(absent_files)
        return " and ".join(
            f"{path} holds no array {source.key!r}"
            for path in source.files
            if not _holds(path, source.key)
        )

    def response_paths(self, subject: str, story: str) -> tuple[Path, ...]:
        """Return the response files of a subject to a story; none where no run is given."""
        try:
            return self.responses(subject, story).files
        except InputError:
            return ()

    def noise_ceiling_path(self, subject: str) -> Path | None:
        """Return the file of a subject's known noise ceiling, or None."""
        return self._of_subject(self.subject(subject).noise_ceiling, subject)

    def mask_path(self, subject: str) -> Path | None:
        """Return the mask whose voxels are a subject's columns, or None."""
        own = self.subject(subject).mask
        return self._of_subject(self.tables.responses.mask if own is None else own, subject)

    def columns_path(self, subject: str) -> Path | None:
        """Return the file that says which columns of a subject are used, or None: all of them."""
        return self._of_subject(self.subject(subject).columns, subject)

    # Files and overrides ------------------------------------------------------------------------

    def _resolved(self, given: str) -> Path:
        return given_path(given, self.folder)

    def _of_story(self, given: str, story: str) -> Path:
        found = self._resolved(given)
        exact = given_path(given, self.folder, exact=True)
        return exact if self._is_of_another(found, exact, story) else found

    def _own(self, path: Path, story: str) -> Path:
        found = existing(path)
        return path if self._is_of_another(found, path, story) else found

    def _is_of_another(self, found: Path, written: Path, story: str) -> bool:
        """Say whether a file was found by folding names, where that leads to another story's."""
        if found == written or story not in self._spelled_alike:
            return False
        n_named = (sum(story in part for part in path.parts) for path in (found, written))
        return next(n_named) < next(n_named)

    @cached_property
    def _spelled_alike(self) -> frozenset[str]:
        """Stories whose names differ in case or in the form of accents only."""
        names = (*self.known_stories, *self.left_out)
        counts = Counter(map(folded, dict.fromkeys(names)))
        return frozenset(name for name in names if counts[folded(name)] > 1)

    def _of_subject(self, given: str | None, subject: str) -> Path | None:
        return None if given is None else self._resolved(given.replace("{subject}", subject))

    @cached_property
    def _holds_several(self) -> bool:
        """Whether one file may hold several stories, so that a key tells them apart."""
        table = self.tables.responses
        return any("{" in key for key in (table.key,) if key) or any(
            run.key is not None for run in self.tables.runs
        )

    @cached_property
    def _rows_of(self) -> Mapping[tuple[str, str], tuple[tuple[int, RunTable], ...]]:
        """Rows of [[runs]] with their numbers, by subject and story: public data have hundreds."""
        found: dict[tuple[str, str], tuple[tuple[int, RunTable], ...]] = {}
        for number, run in enumerate(self.tables.runs):
            place = (run.subject, run.story)
            found[place] = (*found.get(place, ()), (number, run))
        return found

    def _run(self, subject: str, story: str) -> dict[str, Any]:
        """Merge the defaults with all rows of [[runs]] that apply, the most specific last."""
        self.subject(subject)
        merged = self.tables.timing.model_dump()
        for run in self._rows(subject, story):
            merged |= run.model_dump(exclude_none=True)
        return merged

    def _rows(self, subject: str, story: str) -> list[RunTable]:
        places = {(one, other) for one in (EVERY, subject) for other in (EVERY, story)}
        rows = [row for place in places for row in self._rows_of.get(place, ())]

        def specific(numbered: tuple[int, RunTable]) -> tuple[int, int]:
            number, run = numbered
            return ((run.subject != EVERY) + (run.story != EVERY), number)

        return [run for _, run in sorted(rows, key=specific)]

    def _audio(self, subject: str, story: str) -> Path | None:
        path = self.found_audio.get(story)
        for run in self._rows(subject, story):
            path = self._resolved(run.audio) if run.audio else path
        return path

    def _filled(
        self, template: str, subject: str, story: str, run: Mapping[str, Any], hemi: str = ""
    ) -> str:
        for name in ("run", "session"):
            if name in placeholders(template) and run.get(name) is None:
                raise InputError(
                    f"{template!r} holds {{{name}}}, but no {name} is given for subject "
                    f"{subject!r}, story {story!r}",
                    hint=f'Add [[runs]] with subject, story and {name}, for example {name} = "1".',
                )
        return template.format(
            subject=subject,
            story=story,
            run=run.get("run"),
            session=run.get("session"),
            hemi=hemi,
        )

    def _require_files(self, subject: str, story: str) -> None:
        self.audio_path(story, subject)
        missing = self.missing_responses(subject, story)
        if missing:
            available = ", ".join(self.stories(subject)) or "none"
            raise InputError(
                f"the responses of subject {subject!r} to story {story!r} are missing: {missing}",
                hint="Get the file, correct responses.path, or take the story out of [splits]. "
                f"Stories of this subject with responses: {available}.",
            )


def _absence(path: Path) -> str:
    found = find_placeholder(path)
    return absent(path) if found is None else f"{path} is {found.what}"


def _holds(path: Path, key: str | None) -> bool:
    status = path.stat()
    return key is None or key.strip("/") in _keys(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _keys(path: Path, size: int, modified: int) -> frozenset[str]:
    return frozenset(available_keys(path))


def is_own_space(space: str) -> bool:
    """Say whether targets are a subject's own: column i of two subjects is not the same place."""
    return space.startswith("native")


def near_story(given: str, stories: Sequence[str]) -> str:
    """Say which story is meant; of a long list, only the nearest are named."""
    if len(stories) <= _STORIES_NAMED:
        return near_match(given, stories)
    nearest = difflib.get_close_matches(given, stories, n=_STORIES_NAMED, cutoff=0.0)
    return f"{near_match(given, nearest)[:-1]} and {len(stories) - _STORIES_NAMED} more."


def placeholders(template: str) -> tuple[str, ...]:
    """List the names in braces of a path template.

    Parameters
    ----------
    template : str
        A path such as ``"{subject}/{story}.npy"``.

    Returns
    -------
    tuple of str
        The names as written, in their order.

    Raises
    ------
    ValueError
        A brace is not closed or not opened.
    """
    parts: Iterable[tuple[str, str | None, str | None, str | None]]
    parts = string.Formatter().parse(template)
    found = []
    for _, name, form, conversion in parts:
        if name is not None:
            suffix = (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            found.append(name + suffix)
    return tuple(found)
