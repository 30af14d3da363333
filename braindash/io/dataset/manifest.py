"""Manifests: one TOML file that says where a lab's stories and brain responses lie.

:func:`load_manifest` checks what can be checked without opening data files;
:func:`braindash.io.dataset.check.check_subject` compares the headers of one subject's files.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from braindash.errors import near_match
from braindash.files import evicted_in, find_placeholder
from braindash.io.dataset.audio import AUDIO_EXTENSIONS
from braindash.io.dataset.check import (
    SPACE_TARGETS,
    StoryCheck,
    SubjectCheck,
    check_subject,
)
from braindash.io.dataset.dataset import (
    PLACEHOLDERS,
    WITHIN_STORY,
    Dataset,
    Split,
    near_story,
    placeholders,
)
from braindash.io.dataset.tables import (
    EVERY,
    DatasetTable,
    ManifestTables,
    Problem,
    SubjectTable,
    manifest_text,
    raise_problems,
    read_tables,
)
from braindash.names import Spellings, absent, files_in, folded, given_path

__all__ = ["Dataset", "Split", "StoryCheck", "SubjectCheck", "check_subject", "load_manifest"]


_KEY_PLACEHOLDERS = tuple(name for name in PLACEHOLDERS if name != "hemi")


def load_manifest(path: Path | str) -> Dataset:
    """Read a manifest and check its form, its folders, its stories and its splits.

    Parameters
    ----------
    path : path
        The TOML file; paths in it are relative to its own folder. Or a folder: one that holds a
        manifest, or data in a layout that is known (:mod:`braindash.io.layouts`), which are
        indexed.

    Returns
    -------
    Dataset
        The data it describes; no audio and no response file has been opened.

    Raises
    ------
    InputError
        Lists every problem found: unknown or missing fields, missing folders, unknown stories and
        subjects, a story in two splits, templates with unknown placeholders.

    Examples
    --------
    >>> dataset = load_manifest("manifest.toml")  # doctest: +SKIP
    >>> dataset.split("UTS01").test  # doctest: +SKIP
    ('wheretheressmoke',)
    """
    path, text = given_path(path), None
    if path.is_dir():
        # Only a folder needs what knows layouts.
        from braindash.io.layouts.find import manifest_of

        path, text = manifest_of(path)
    text = manifest_text(path) if text is None else text
    tables, problems = read_tables(path, text)
    if tables is not None:
        found, ambiguous, absent = _find_audio(path.parent, tables.dataset)
        dataset = Dataset(path, tables, _as_spelled(found, tables), not_fetched=absent, text=text)
        problems += [*_folder_problems(dataset), *_ambiguity_problems(dataset, ambiguous)]
        problems += _template_problems(tables)
        problems += _subject_problems(tables)
        problems += _region_problems(tables)
        problems += _run_problems(dataset)
        problems += _split_problems(dataset)
        if not problems:
            problems += _response_problems(dataset)
    raise_problems(str(path), problems)
    return dataset


# Audio ------------------------------------------------------------------------------------------


def _find_audio(
    folder: Path, table: DatasetTable
) -> tuple[dict[str, Path], dict[str, list[Path]], tuple[Path, ...]]:
    """Find audio files by story; apart, stories with several files, and files not here."""
    by_story: dict[str, list[Path]] = {}
    if table.audio_dir is None:
        return {}, {}, ()
    audio_dir = given_path(table.audio_dir, folder)
    files = files_in(audio_dir, deep=False) if audio_dir.is_dir() else []
    for file in files:
        story = _story_of(file, table.audio_suffix)
        if story and file.is_file():
            by_story.setdefault(story, []).append(file)
    found = {story: paths[0] for story, paths in by_story.items()}
    several = {story: paths for story, paths in by_story.items() if len(paths) > 1}
    files += evicted_in(audio_dir) if audio_dir.is_dir() else []
    named = ((file, _story_of(file, table.audio_suffix)) for file in files)
    absent = [file for file, story in named if story and story not in found]
    return found, several, tuple(absent)


def _story_of(file: Path, suffix: str) -> str | None:
    """Return the story that an audio file is named after, or None for other files."""
    if file.suffix.lower() not in AUDIO_EXTENSIONS:
        return None
    whole = suffix.lower().endswith(AUDIO_EXTENSIONS)
    name, ending = (file.name, suffix) if whole else (file.stem, suffix)
    if name.endswith(ending):
        return name.removesuffix(ending)
    alike = folded(name[-len(ending) :]) == folded(ending)
    return name[: -len(ending)] if alike else None


def _as_spelled(found: Mapping[str, Path], tables: ManifestTables) -> dict[str, Path]:
    """Name stories as the manifest spells them, where its files are spelled otherwise."""
    splits, spelled = tables.splits, Spellings(found)
    written = [*splits.train, *splits.valid, *splits.test, *(run.story for run in tables.runs)]
    others = {spelled.name_of(name): name for name in written if name not in found}
    return {others.get(name, name): path for name, path in found.items()}


def _folder_problems(dataset: Dataset) -> Iterator[Problem]:
    table = dataset.tables.dataset
    audio_dir = _audio_dir(dataset)
    if table.audio_dir is None:
        if not dataset.known_stories:
            yield Problem(
                "[dataset] lacks the field 'audio_dir'",
                "Give audio_dir: folder of the stories' audio files. Or name the audio of every "
                "story in [[runs]].",
            )
    elif not audio_dir.is_dir():
        yield Problem(
            f"dataset.audio_dir: {absent(audio_dir, 'folder')}",
            "Give the folder of the stories' audio, relative to the manifest.",
        )
    elif not dataset.found_audio and not dataset.known_stories:
        ending = f"*{table.audio_suffix}" if table.audio_suffix else "*"
        yield Problem(
            f"dataset.audio_dir: {audio_dir} holds no audio file ({ending})",
            f"Stories are files that end in {', '.join(AUDIO_EXTENSIONS)}, named after the story; "
            "set dataset.audio_suffix where more follows the story's name.",
        )
    if table.alignment_dir is not None:
        alignment_dir = given_path(table.alignment_dir, dataset.folder)
        if not alignment_dir.is_dir():
            yield Problem(
                f"dataset.alignment_dir: there is no folder {alignment_dir}",
                "Give the folder of the TextGrids, or leave alignment_dir out.",
            )


def _audio_dir(dataset: Dataset) -> Path:
    return given_path(dataset.tables.dataset.audio_dir or ".", dataset.folder)


def _ambiguity_problems(dataset: Dataset, ambiguous: Mapping[str, list[Path]]) -> Iterator[Problem]:
    chosen = {run.story for run in dataset.tables.runs if run.audio is not None}
    for story, paths in ambiguous.items():
        if story not in chosen:
            suffixes = " or ".join(repr(path.suffix) for path in paths)
            yield Problem(
                f"the story {story!r} has several audio files: "
                f"{', '.join(path.name for path in paths)} ({len(ambiguous)} such stories)",
                f"Choose with dataset.audio_suffix: {suffixes}.",
            )
            return


# Templates, subjects, runs ----------------------------------------------------------------------


def _template_problems(tables: ManifestTables) -> list[Problem]:
    table = tables.responses
    problems: list[Problem] = []
    for name in ("path", "key", "repeats_key", "repeats_path"):
        template = getattr(table, name)
        allowed = PLACEHOLDERS if "path" in name else _KEY_PLACEHOLDERS
        if template is not None:
            problems += _placeholder_problems(f"responses.{name}", template, allowed)
    if not problems:
        problems += _needed_placeholders(tables)
    for number, run in enumerate(tables.runs, 1):
        for template in run.response or ():
            problems += _placeholder_problems(f"[[runs]] number {number} response", template)
        if run.key is not None:
            where = f"[[runs]] number {number} key"
            problems += _placeholder_problems(where, run.key, _KEY_PLACEHOLDERS)
    return [*problems, *_surface_problems(tables)]


def _surface_problems(tables: ManifestTables) -> Iterator[Problem]:
    """Check the form of what leads to surfaces; its files are opened when a subject is checked."""
    responses = tables.responses
    named = {
        "responses.mask": (responses.mask,),
        "responses.parcels": responses.parcels or (),
        "responses.parcel_names": (responses.parcel_names,),
    }
    for number, table in enumerate(tables.subjects, 1):
        for field in ("mapper", "pycortex", "freesurfer"):
            named[f"[[subjects]] number {number} {field}"] = (getattr(table, field),)
    for where, templates in named.items():
        for template in filter(None, templates):
            yield from _placeholder_problems(where, template, ("subject",))
    given = [responses.path or "", *(one for run in tables.runs for one in run.response or ())]
    if responses.mask_order == "zyx" and any(one.endswith((".nii", ".nii.gz")) for one in given):
        yield Problem(
            'responses.mask_order = "zyx", but the responses are NIfTI files',
            "Leave mask_order out: their columns are always data[mask].",
        )
    for template in responses.surfaces or ():
        yield from _placeholder_problems("responses.surfaces", template, ("subject", "hemi"))


def _placeholder_problems(
    where: str, template: str, allowed: tuple[str, ...] = PLACEHOLDERS
) -> Iterator[Problem]:
    try:
        names = placeholders(template)
    except ValueError as error:
        yield Problem(
            f"{where} = {template!r} has a brace too many or too few: {error}",
            "Write names in braces, such as {subject}/{story}.hf5; a plain brace is {{ or }}.",
        )
        return
    for name in names:
        if name not in allowed:
            yield Problem(
                f"{where} = {template!r} holds the unknown placeholder {{{name}}}",
                near_match(name, allowed),
            )


def _needed_placeholders(tables: ManifestTables) -> Iterator[Problem]:
    template, key = tables.responses.path, tables.responses.key
    if template is None:
        if not any(run.response for run in tables.runs):
            yield Problem(
                "[responses] lacks the field 'path'",
                "Give a template such as responses/{subject}/{story}.hf5, or name the response of "
                "every story in [[runs]].",
            )
        return
    names = placeholders(template)
    told = {*names, *(placeholders(key) if key else ())}
    apart = "run" in told or any(run.response or run.key for run in tables.runs)
    if "story" not in told and not apart:
        yield Problem(
            f"responses.path = {template!r} is one file for all stories: it lacks {{story}}",
            "Keep one response file per story and name it with {story}; or name the arrays in one "
            'file after the stories: key = "{story}".',
        )
    if "subject" not in names and len(tables.subjects) > 1:
        yield Problem(
            f"responses.path = {template!r} is one file for all subjects: it lacks {{subject}}",
            "Name the files of different subjects with {subject}.",
        )


def _subject_problems(tables: ManifestTables) -> list[Problem]:
    counts = Counter(table.id for table in tables.subjects)
    problems = [
        Problem(f"[[subjects]] names {subject!r} {count} times", "Give every subject once.")
        for subject, count in counts.items()
        if count > 1
    ]
    space = tables.responses.space
    problems += [
        Problem(
            f"[[subjects]] {table.id!r} has columns, but {space} is a whole mesh",
            "Leave columns out, or store the chosen targets alone with space = 'roi'.",
        )
        for table in tables.subjects
        if table.columns is not None and space in SPACE_TARGETS
    ]
    return problems


def _region_problems(tables: ManifestTables) -> Iterator[Problem]:
    """Check the form of [regions]; its files are opened when its regions are asked for."""
    own = tables.regions
    if own is None:
        return
    if not (own.labels or own.masks or own.groups):
        yield Problem(
            "[regions] describes no region",
            "Give labels (label files), masks (mask files by region) or groups of labels.",
        )
    if own.set is not None and not (own.labels or own.groups):
        yield Problem(
            f"[regions] set = {own.set!r} is used by nothing: there are no groups of its labels",
            "Give groups, or leave set out: a set is chosen by --regions and on the pages.",
        )
    if own.set is not None and own.labels:
        yield Problem(
            "[regions] has both label files and a region set",
            "Group the labels of one of them: leave labels or set out.",
        )
    for field, templates in (("labels", own.labels or ()), *own.masks.items()):
        if len(templates) > 2:
            yield Problem(
                f"[regions] {field} names {len(templates)} files",
                "Give one file of all targets, or two: left and right.",
            )
        for template in templates:
            yield from _placeholder_problems(f"[regions] {field}", template, ("subject",))


def _run_problems(dataset: Dataset) -> list[Problem]:
    problems = []
    seen: set[tuple[str, str]] = set()
    subjects, stories = {EVERY, *dataset.subjects}, {EVERY, *dataset.known_stories}
    for number, run in enumerate(dataset.tables.runs, 1):
        where = f"[[runs]] number {number}"
        if run.subject not in subjects:
            problems.append(
                Problem(
                    f"{where} names the unknown subject {run.subject!r}",
                    near_match(run.subject, [EVERY, *dataset.subjects]),
                )
            )
        if run.story not in stories and dataset.known_stories:
            problems.append(_unknown_story(where, run.story, dataset))
        if (run.subject, run.story) in seen:
            problems.append(
                Problem(
                    f"{where} repeats subject = {run.subject!r}, story = {run.story!r}",
                    "Join the rows of the same subject and story into one.",
                )
            )
        seen.add((run.subject, run.story))
        if run.audio is not None:
            problems += _run_audio_problems(dataset, where, run.story, run.audio)
        if run.alignment is not None and (run.story == EVERY or run.subject != EVERY):
            problems.append(
                Problem(
                    f"{where} gives an alignment that is not of one story for all subjects",
                    'Give it in a row of its own, with the story and subject = "*".',
                )
            )
    return problems


def _run_audio_problems(dataset: Dataset, where: str, story: str, audio: str) -> Iterator[Problem]:
    if story == EVERY:
        yield Problem(f"{where} gives every story the same audio", "Name the story.")
    path = given_path(audio, dataset.folder)
    if not os.path.lexists(path):
        yield Problem(
            f"{where} audio: {absent(path)}",
            "Give the story's audio file, relative to the manifest.",
        )


# Splits and responses ---------------------------------------------------------------------------


def _split_problems(dataset: Dataset) -> list[Problem]:
    table = dataset.tables.splits
    splits = {"test": table.test, "valid": table.valid, "train": table.train}
    problems = list(_overlap_problems(splits))
    problems += _own_test_problems(dataset)
    if not table.test and not all(_has_test(dataset, one) for one in dataset.tables.subjects):
        problems.append(
            Problem("splits.test is empty", "Name at least one story that is kept for the score.")
        )
    for split, stories in splits.items():
        for story in stories:
            if story == EVERY:
                problems += _every_problems(split, stories)
            elif story not in dataset.known_stories and dataset.known_stories:
                problems.append(_unknown_story(f"splits.{split}", story, dataset))
    return problems


def _has_test(dataset: Dataset, subject: SubjectTable) -> bool:
    return bool(subject.test) or dataset.scheme(subject.id) == WITHIN_STORY


def _own_test_problems(dataset: Dataset) -> Iterator[Problem]:
    splits = dataset.tables.splits
    for one in dataset.tables.subjects:
        where = f"[[subjects]] {one.id!r} test"
        for story in one.test or ():
            if story not in dataset.known_stories and dataset.known_stories:
                yield _unknown_story(where, story, dataset)
            elif story in (*splits.valid, *splits.train):
                yield Problem(
                    f"{where} names {story!r}, which trains or validates",
                    "A story may stand in one split only: a score on a story that was trained on "
                    "means nothing.",
                )
        if one.test == ():
            yield Problem(f"{where} is empty", "Name a story, or leave test out.")


def _every_problems(split: str, stories: tuple[str, ...]) -> Iterator[Problem]:
    if split != "train":
        yield Problem(f'splits.{split} = "*" is not allowed', "Name the stories of this split.")
    elif len(stories) > 1:
        yield Problem('splits.train mixes "*" with names', 'Write train = "*", or a list of names.')


def _overlap_problems(splits: Mapping[str, tuple[str, ...]]) -> Iterator[Problem]:
    places: dict[str, list[str]] = {}
    for split, stories in splits.items():
        for story in stories:
            places.setdefault(story, []).append(split)
    for story, where in places.items():
        if len(set(where)) > 1 and story != EVERY:
            yield Problem(
                f"the story {story!r} stands in {' and in '.join(f'splits.{w}' for w in where)}",
                "A story may stand in one split only: a score on a story that was trained on "
                "means nothing.",
            )
        elif len(where) > 1:
            yield Problem(f"splits.{where[0]} names {story!r} twice", "Give every story once.")


def _unknown_story(where: str, story: str, dataset: Dataset) -> Problem:
    table = dataset.tables.dataset
    audio_dir = _audio_dir(dataset)
    hint = near_story(story, dataset.known_stories)
    stubs = [audio_dir / f"{story}{table.audio_suffix}{ending}" for ending in AUDIO_EXTENSIONS]
    stubs += [f for f in dataset.not_fetched if _story_of(f, table.audio_suffix) == story]
    found = next(filter(None, map(find_placeholder, stubs)), None)
    if found is not None:
        hint = f"Its audio is {found.what}. {found.hint}"
    return Problem(f"{where} names the story {story!r}, which has no audio in {audio_dir}", hint)


def _response_problems(dataset: Dataset) -> list[Problem]:
    """Refuse a template that leads to no file at all; single missing files come later."""
    if any(dataset.stories(subject) for subject in dataset.subjects):
        return []
    subject, story = dataset.subjects[0], (*dataset.test_stories, *dataset.known_stories)[0]
    lacking = dataset.missing_responses(subject, story)
    return [
        Problem(
            f"no response file was found for any subject and story; for {subject!r} and "
            f"{story!r}: {lacking}",
            "Check responses.path and the ids of [[subjects]].",
        )
    ]
