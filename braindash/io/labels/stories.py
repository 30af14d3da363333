"""Labels of a data set's own stories: the TextGrids of its manifest."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from braindash.errors import InputError
from braindash.io.dataset.dataset import Dataset
from braindash.io.labels.intervals import Taken
from braindash.io.labels.table import Labels, Segment, make_labels
from braindash.io.labels.tiers import tier_units


def read_story_labels(dataset: Dataset, recordings: Sequence[str] = ()) -> Labels:
    """Read the TextGrids of the stories of a manifest.

    Parameters
    ----------
    dataset : Dataset
        A manifest with ``dataset.alignment_dir``.
    recordings : sequence of str
        Stories, or patterns such as ``"probe_*"``; all that have a TextGrid by default.

    Returns
    -------
    Labels
        Tiers ``"phone"`` and ``"word"``, as of
        :func:`braindash.io.labels.aligned.read_textgrids`.

    Raises
    ------
    InputError
        There is no alignment_dir, no TextGrid in it, a pattern names no story, or what
        :func:`braindash.io.labels.table.make_labels` refuses.
    """
    if dataset.tables.dataset.alignment_dir is None:
        raise InputError(
            f"{dataset.path} names no alignment_dir, so the words and phones of its stories are "
            "unknown",
            hint="Give the folder of the TextGrids as dataset.alignment_dir, or other labels with "
            "--labels and --labels-path.",
        )
    chosen = select_recordings(dataset.known_stories, recordings)
    taken, units = Taken(fold_phones=True, pauses=False), tier_units(dataset)
    segments: list[Segment] = []
    for story in chosen:
        path = dataset.annotation_path(story)
        if path is not None:
            segments += taken.textgrid(path, story, units)
    audio = {story: dataset.audio_path(story) for story in chosen}
    return make_labels(f"the stories of {dataset.name}", segments, audio, taken.warnings())


def select_recordings(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Choose the recordings that any of the patterns names; all, without patterns.

    Raises
    ------
    InputError
        A pattern names none.
    """
    chosen: set[str] = set() if patterns else set(names)
    for pattern in patterns:
        found = {name for name in names if fnmatchcase(name, pattern)}
        if not found:
            raise InputError(
                f"no recording is named {pattern!r}",
                hint=f"There are {len(names)}, such as {', '.join(sorted(names)[:3])}; * stands "
                "for any text.",
            )
        chosen |= found
    return sorted(chosen)
