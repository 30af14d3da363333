"""Stories of which only half is there: sound without responses, or responses without sound.

With ``train = "*"`` they are left out of the stories of a subject; what is told of them, by a run
as by ``braindash data check``, is said here.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from braindash.errors import InputError
from braindash.files import find_placeholder
from braindash.io.dataset.arrays import available_keys
from braindash.io.dataset.audio import AUDIO_EXTENSIONS
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.tables import EVERY, Problem
from braindash.names import files_in, folded, given_path, is_hidden

# Endings of sound that is not looked for in a folder; of some the sound itself could be read.
_OTHER_SOUND = frozenset(
    ".m4a .m4b .mp4 .aac .wma .amr .webm .mka .3gp .ra .ape .wv .mp2 .mpga .oga .spx .aif .aiff "
    ".aifc .au .snd .caf .w64 .rf64 .sph .wave".split()
)
_MARK = "<story>"
_NAMED = 5


def unpaired(dataset: Dataset, subject: str) -> Iterator[Problem]:
    """Tell stories of a subject that have sound or responses alone, and sound that is not read.

    What stands for a file that was not fetched (:func:`braindash.files.find_placeholder`) is there
    for this purpose: it is told with what fetches it.

    Parameters
    ----------
    dataset : Dataset
    subject : str

    Yields
    ------
    Problem
        None of them stops the work.
    """
    every = EVERY in dataset.tables.splits.train
    if every:  # else sound beside the named stories may be there for something else
        yield from _without_responses(dataset, subject)
    yield from _without_sound(dataset, subject)
    if every:
        yield from _other_sound(dataset)


def _shown(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(map(repr, listed[:_NAMED])) + (", ..." if len(listed) > _NAMED else "")


def _without_responses(dataset: Dataset, subject: str) -> Iterator[Problem]:
    there = set(dataset.stories(subject))
    alone = [
        story
        for story in dataset.known_stories
        if story not in there
        # Rows of [[runs]] say which stories a subject heard; a template says so of all.
        and (paths := dataset.response_paths(subject, story))
        and not any(find_placeholder(path) for path in paths if not path.exists())
    ]
    if not alone:
        return
    missing = (
        path
        for story in alone
        for path in dataset.response_paths(subject, story)
        if not path.exists()
    )
    near = list(dict.fromkeys(name for path in missing for name in _beside(path)))
    told = f"; near them lie {_shown(near)}" if near else ""
    yield Problem(
        f"{_stories(alone)} sound but no responses of {subject!r} (left out): "
        f"{_shown(alone)}; {dataset.missing_responses(subject, alone[0])}{told}",
        "Get the files, give them the names that responses.path says, or move the sound away.",
    )


def _stories(names: list[str]) -> str:
    return "1 story has" if len(names) == 1 else f"{len(names)} stories have"


def _beside(path: Path) -> list[str]:
    """Name the files that may be meant: of the same name with more behind, or blanks in it."""
    if not path.parent.is_dir():
        return []
    wanted = folded(path.name)
    close = (wanted, folded(path.stem))
    return [
        one.name
        for one in files_in(path.parent, deep=False)
        if folded(one.name).startswith(wanted)
        or folded(one.name.strip()) == wanted
        or folded(one.stem.strip()) in close
    ]


def _without_sound(dataset: Dataset, subject: str) -> Iterator[Problem]:
    known = set(dataset.known_stories) | set(dataset.left_out)
    suffix = dataset.tables.dataset.audio_suffix
    waiting = {path.name for path in dataset.not_fetched}
    used = _repeat_files(dataset, subject) | _read_files(dataset, subject)
    alone = [
        name
        for name in _stories_of_responses(dataset, subject)
        if name not in known
        and not any(one.startswith(f"{name}{suffix}.") or one == name + suffix for one in waiting)
        and not used & set(dataset.response_paths(subject, name))
    ]
    if alone:
        yield Problem(
            f"{_stories(alone)} responses of {subject!r} but no recording (not used): "
            f"{_shown(alone)}",
            "Put their audio into dataset.audio_dir, named after the story, or name it in "
            "[[runs]].",
        )


def _stories_of_responses(dataset: Dataset, subject: str) -> list[str]:
    """List the stories that the names of response files, or of arrays in one file, speak of."""
    template, key = dataset.tables.responses.path, dataset.tables.responses.key or ""
    if template is None or "{run}" in template or "{session}" in template:
        return []
    try:
        source = dataset.responses(subject, _MARK)
    except (InputError, ValueError):
        return []
    path = source.paths[0]
    if "{story}" not in template:
        if "{story}" not in key or not path.is_file():
            return []
        return _between(available_keys(path), str(source.key))
    place = next(place for place, part in enumerate(path.parts) if _MARK in part)
    folder = Path(*path.parts[:place])
    if not folder.is_dir():
        return []
    names = (one.name for one in folder.iterdir() if not is_hidden(one.name))
    found = _between(names, path.parts[place])
    return [name for name in found if dataset.responses(subject, name).paths[0].exists()]


def _between(names: Iterable[str], pattern: str) -> list[str]:
    """Return what stands for the story in the names that fit, sorted."""
    if pattern.count(_MARK) != 1:
        return []
    before, after = pattern.split(_MARK)
    found = (
        one[len(before) : len(one) - len(after)]
        for one in names
        if one.startswith(before) and one.endswith(after)
    )
    return sorted(filter(None, found))


def _read_files(dataset: Dataset, subject: str) -> set[Path]:
    """List the response files of the stories that have sound, whatever the case of their names."""
    if "{story}" not in (dataset.tables.responses.path or ""):
        return set()  # one file of all
    stories = dataset.known_stories
    return {path for story in stories for path in dataset.response_paths(subject, story)}


def _repeat_files(dataset: Dataset, subject: str) -> set[Path]:
    if dataset.tables.responses.repeats_path is None:
        return set()
    found: set[Path] = set()
    for story in dataset.known_stories:
        if dataset.response_paths(subject, story):  # else its run is not known
            found |= set(dataset.responses(subject, story).repeats_paths)
    return found


def _other_sound(dataset: Dataset) -> Iterator[Problem]:
    """Tell files of sound that no story is named after, because of how their names end."""
    table = dataset.tables.dataset
    if table.audio_dir is None:
        return
    folder = given_path(table.audio_dir, dataset.folder)
    used = {
        given_path(run.audio, dataset.folder)
        for run in dataset.tables.runs
        if run.audio is not None
    }
    others = [
        path.name
        for path in (files_in(folder, deep=False) if folder.is_dir() else [])
        if path not in used
        and path.suffix.lower() not in AUDIO_EXTENSIONS
        and path.suffix.strip().lower() in (*AUDIO_EXTENSIONS, *_OTHER_SOUND)
    ]
    if others:
        yield Problem(
            f"{len(others)} files of sound in {folder} are not looked at, because of how their "
            f"names end: {_shown(others)}",
            f"Convert them (`ffmpeg -i FILE STORY.wav`) or rename them: stories are files that end "
            f"in {', '.join(AUDIO_EXTENSIONS)}.",
        )
