"""What recognisers share: rows for sounds, the choice of test stories, files that are not here."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from braindash.io.layouts.finding import Told
from braindash.io.layouts.tree import File, Tree, natural, several, stem

StoriesOf = Mapping[str, tuple[str, ...]]

_DATALAD = "Run `datalad get FILE` (or `git annex get FILE`)"


def sound_tables(
    tree: Tree, sounds: Mapping[str, File], suffix: str = ""
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Say in a manifest where the sounds of stories are.

    Parameters
    ----------
    tree : Tree
        Where they were found.
    sounds : mapping of str to File
        By story.
    suffix : str
        What follows the story in the names of the sounds.

    Returns
    -------
    dataset : dict
        ``audio_dir`` where one folder holds them all under their stories' names.
    runs : list of dict
        Else one row for each.
    """
    folders = Counter(file.path.parent for file in sounds.values())
    if len(folders) == 1:
        (folder,) = folders
        stems = Counter(stem(one.name) for one in tree.sounds if one.path.parent == folder)
        plain = all(stem(file.name) == f"{story}{suffix}" for story, file in sounds.items())
        if plain and max(stems.values()) == 1:
            return {"audio_dir": folder, "audio_suffix": suffix or None}, []
    rows = [{"story": story, "audio": sounds[story].path} for story in sorted(sounds, key=natural)]
    return {}, rows


def choose_tests(
    stories: StoriesOf, preferred: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, dict[str, Any]], list[str]]:
    """Choose the stories that are kept for the score.

    Parameters
    ----------
    stories : mapping of str to tuple of str
        Stories by subject.
    preferred : sequence of str
        Stories that are best kept, such as repeated ones, the best first.

    Returns
    -------
    splits : dict
        Table of the manifest.
    own : dict of str to dict
        Fields of subjects who did not hear the common one, or heard one story only: these are
        scored within it.
    notes : list of str
        Who they are.
    """
    counts = Counter(story for known in stories.values() for story in known)
    order = [story for story in preferred if story in counts]
    order += sorted(
        (story for story in counts if story not in order),
        key=lambda story: (counts[story], natural(story)),
        reverse=True,
    )
    if not order:
        return {"test": []}, {}, []
    common = order[0]
    own: dict[str, dict[str, Any]] = {
        subject: {"test": [next(story for story in order if story in known)]}
        for subject, known in stories.items()
        if known and common not in known
    }
    alone = [subject for subject, known in stories.items() if len(known) == 1]
    for subject in alone:
        own[subject] = {**own.get(subject, {}), "scheme": "within-story"}
    notes = []
    if alone:
        notes.append(
            f"{len(alone)} subjects heard one story only and are scored within it, in blocks of "
            f"rows that are held out in turn: {several(alone)}"
        )
    comment = (
        "the repeated story, which has a noise ceiling"
        if common in preferred
        else "no story is known to be repeated: the last one that most subjects heard is kept"
    )
    splits = {"test": Told([common], f"Kept for the score: {comment}."), "train": "*"}
    return splits, own, notes


def not_fetched(files: Iterable[File]) -> str:
    """Say which files were not fetched, and what fetches them; or nothing."""
    absent = [file for file in files if not file.exists()]
    if not absent:
        return ""
    found = absent[0].placeholder()
    if "datalad" in found:
        names = several(f"{file.place}/{file.name}".lstrip("/") for file in absent)
        return f"{len(absent)} files were never fetched. {_DATALAD} for: {names}"
    return f"{len(absent)} files are not here ({several(file.name for file in absent)}): {found}"


def without_sound(stories: Iterable[str], where: str) -> str:
    """Say which stories have responses but no sound; or nothing."""
    listed = sorted(stories, key=natural)
    if not listed:
        return ""
    return f"no sound for {len(listed)} stories that have responses: {several(listed)}. {where}"


def common_folder(files: Sequence[File]) -> Path | None:
    """Return the folder that all files are in; None where there are several."""
    folders = {file.path.parent for file in files}
    return folders.pop() if len(folders) == 1 else None


def alignment_folder(tree: Tree, stories: Iterable[str]) -> Path | None:
    """Return the folder that says what is spoken when in stories; None where none is named so.

    It holds STORY.TextGrid, or gentle's STORY/align.json or STORY/align.csv. Files that were not
    fetched count where no other does.
    """
    wanted, found = set(stories), Counter[tuple[bool, Path]]()
    for file in tree.files:
        gentle = file.name in ("align.json", "align.csv") and file.path.parent.name in wanted
        grid = file.name.lower().endswith(".textgrid") and stem(file.name) in wanted
        if gentle or grid:
            folder = file.path.parent.parent if gentle else file.path.parent
            found[file.exists(), folder] += 1
    best = max(found, key=lambda one: (one[0], found[one]), default=None)
    return None if best is None else best[1]
