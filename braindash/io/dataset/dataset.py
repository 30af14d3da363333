"""A lab's data as its manifest describes them: subjects, stories, files and times."""

import difflib
import os
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from braindash.core.timing import Timing
from braindash.errors import InputError, near_match
from braindash.files import find_placeholder
from braindash.io.dataset.responses import ResponseSource
from braindash.io.dataset.tables import EVERY, ManifestTables, RunTable, SubjectTable
from braindash.names import absent, existing, given_path

PLACEHOLDERS = ("subject", "story", "hemi", "run")
HEMISPHERES = ("L", "R")
_STORIES_NAMED = 12


@dataclass(frozen=True)
class Split:
    """Which stories of a subject do what; no story stands in two of them."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


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
    """

    path: Path
    tables: ManifestTables
    found_audio: Mapping[str, Path]
    left_out: tuple[str, ...] = ()
    not_fetched: tuple[Path, ...] = ()

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
        for table in self.tables.subjects:
            if table.id == subject:
                return table
        raise InputError(
            f"{self.path} has no subject {subject!r}", hint=near_match(subject, self.subjects)
        )

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
        self.subject(subject)
        table = self.tables.splits
        test, valid, train = (
            tuple(story for story in stories if story not in self.left_out)
            for stories in (table.test, table.valid, table.train)
        )
        if not test:
            raise InputError(
                f"all test stories of {self.path} are left out: {', '.join(table.test)}",
                hint="Put their recordings right, or name another test story in [splits].",
            )
        named = [*test, *valid, *(s for s in train if s != EVERY)]
        for story in named:
            self._require_files(subject, story)
        if EVERY in train:
            train = tuple(story for story in self.stories(subject) if story not in named)
        return Split(train=train, valid=valid, test=test)

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
        """Return the TextGrid of a story, in any case of its ending; None where there is none."""
        folder = self.tables.dataset.alignment_dir
        if folder is None:
            return None
        path = existing(self._resolved(folder) / f"{story}.TextGrid")
        return path if os.path.lexists(path) else None

    def timing(self, subject: str, story: str) -> Timing:
        """Say when the response rows of a subject and story were acquired, in audio time."""
        run = self._run(subject, story)
        return Timing(
            tr=run["tr"],
            first_volume=run["first_volume"],
            audio_onset=run["audio_onset"],
            slice_time=run["slice_time"],
        )

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
            One file, or two where the template holds ``{hemi}``: left, then right.

        Raises
        ------
        InputError
            The subject is unknown, or the template holds ``{run}`` and no run is given.
        """
        table, run = self.tables.responses, self._run(subject, story)
        repeats = self._filled(table.repeats_path, subject, story) if table.repeats_path else ()
        return ResponseSource(
            paths=self._filled(run.get("response", table.path), subject, story),
            key=table.key,
            repeats_key=table.repeats_key,
            repeats_paths=repeats,
            units=self.subject(subject).units,
            score_from_row=run.get("score_from_row", 0),
        )

    def missing_responses(self, subject: str, story: str) -> str:
        """Say what is missing for the responses of a story; empty when they are there."""
        try:
            paths = self.responses(subject, story).paths
        except InputError as error:
            return error.message
        return " and ".join(_absence(path) for path in paths if not path.is_file())

    def response_paths(self, subject: str, story: str) -> tuple[Path, ...]:
        """Return the response files of a subject to a story; none where no run is given."""
        try:
            return self.responses(subject, story).paths
        except InputError:
            return ()

    def noise_ceiling_path(self, subject: str) -> Path | None:
        """Return the file of a subject's known noise ceiling, or None."""
        given = self.subject(subject).noise_ceiling
        return self._resolved(given) if given else None

    # Files and overrides ------------------------------------------------------------------------

    def _resolved(self, given: str) -> Path:
        return given_path(given, self.folder)

    def _run(self, subject: str, story: str) -> dict[str, Any]:
        """Merge the defaults with all rows of [[runs]] that apply, the most specific last."""
        self.subject(subject)
        merged = self.tables.timing.model_dump()
        for run in self._rows(subject, story):
            merged |= run.model_dump(exclude_none=True)
        return merged

    def _rows(self, subject: str, story: str) -> list[RunTable]:
        rows = [
            run
            for run in self.tables.runs
            if run.subject in (EVERY, subject) and run.story in (EVERY, story)
        ]
        return sorted(rows, key=lambda run: (run.subject != EVERY) + (run.story != EVERY))

    def _audio(self, subject: str, story: str) -> Path | None:
        path = self.found_audio.get(story)
        for run in self._rows(subject, story):
            path = self._resolved(run.audio) if run.audio else path
        return path

    def _filled(self, template: str, subject: str, story: str) -> tuple[Path, ...]:
        run = self._run(subject, story).get("run")
        fields = placeholders(template)
        if "run" in fields and run is None:
            raise InputError(
                f"{template!r} holds {{run}}, but no run is given for subject {subject!r}, story "
                f"{story!r}",
                hint='Add [[runs]] with subject, story and run, for example run = "1".',
            )
        hemispheres = HEMISPHERES if "hemi" in fields else ("",)
        return tuple(
            self._resolved(template.format(subject=subject, story=story, run=run, hemi=hemi))
            for hemi in hemispheres
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
