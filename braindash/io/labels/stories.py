"""Labels of a data set's own stories: the TextGrids, or gentle's alignments, of its manifest."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from braindash.errors import InputError
from braindash.io.dataset.dataset import Dataset
from braindash.io.labels.aligned import lowered, speaker_rule
from braindash.io.labels.intervals import Aligned
from braindash.io.labels.sources import check_options
from braindash.io.labels.table import Labels, make_labels
from braindash.io.labels.tiers import tier_units

_OPTIONS = ("tiers", "speaker", "fold_phones", "pauses")


def read_story_labels(
    dataset: Dataset,
    recordings: Sequence[str] = (),
    *,
    options: Mapping[str, Any] | None = None,
) -> Labels:
    """Read the TextGrids, or gentle's alignments, of the stories of a manifest.

    Parameters
    ----------
    dataset : Dataset
        A manifest with ``dataset.alignment_dir``.
    recordings : sequence of str
        Stories, or patterns such as ``"probe_*"``; all that have a TextGrid by default.
    options : mapping of str to any, optional
        Those of :func:`braindash.io.labels.aligned.read_textgrids` that say what is read:
        ``tiers`` (by default those of the manifest), ``speaker``, ``fold_phones``, ``pauses``.

    Returns
    -------
    Labels
        Tiers ``"phone"`` and ``"word"``, as of
        :func:`braindash.io.labels.aligned.read_textgrids`.

    Raises
    ------
    InputError
        There is no alignment_dir, no TextGrid in it, a pattern names no story, an option is
        unknown, or what
        :func:`braindash.io.labels.table.make_labels` refuses.
    """
    if not dataset.is_annotated:
        raise InputError(
            f"{dataset.path} names no alignment_dir, so the words and phones of its stories are "
            "unknown",
            hint="Give the folder of the TextGrids as dataset.alignment_dir, or other labels with "
            "--labels and --labels-path.",
        )
    given = dict(options or {})
    check_options(f"the stories of {dataset.name}", given, _OPTIONS)
    chosen = select_recordings(dataset.known_stories, recordings)
    tiers, speaker_of = given.get("tiers"), speaker_rule(given.get("speaker"))
    units = tier_units(dataset) if tiers is None else lowered(tiers)
    aligned = Aligned(fold_phones=given.get("fold_phones", True), pauses=given.get("pauses", False))
    for story in chosen:
        path = dataset.annotation_path(story)
        if path is not None:
            aligned.textgrid(path, story, units, speaker=speaker_of(story, path))
    audio = {story: dataset.audio_path(story) for story in chosen}
    title = f"the stories of {dataset.name}"
    segments = aligned.segments(title)
    return make_labels(title, segments, audio, aligned.warnings())


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
