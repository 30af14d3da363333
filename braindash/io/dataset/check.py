"""One subject's data, compared by their headers: whether audio, responses and times fit.

No response data are read. Everything that is wrong is reported at once; what is unusual but
possible becomes a warning.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from braindash.core.timing import Timing, covered_rows
from braindash.errors import InputError, near_match
from braindash.files import find_placeholder
from braindash.io.dataset.array_kinds import TURN_MATLAB
from braindash.io.dataset.arrays import available_keys, has_key
from braindash.io.dataset.audio import audio_seconds
from braindash.io.dataset.dataset import WITHIN_STORY, Dataset, Split
from braindash.io.dataset.responses import (
    WrongTargets,
    load_ceiling,
    repeats_shape,
    shape,
    written_by_matlab,
)
from braindash.io.dataset.tables import EVERY, Problem, raise_problems
from braindash.io.dataset.unpaired import unpaired
from braindash.io.recordings import require_countable
from braindash.io.spaces.find import plan_surface
from braindash.remembered.digests import digest_input

# What gives targets of a brain a map, in spaces that say nothing of a surface themselves.
_UNPLACED = {
    "native-volume": "A mapper, a pycortex transform, or a mask of a standard space",
    "native-surface": "The subject's FreeSurfer or pycortex folder, or surfaces",
    "fsLR32k": "surfaces (.surf.gii)",
}
# Targets of both hemispheres in spaces that fix their number.
SPACE_TARGETS = {"fsaverage5": 20484, "fsaverage6": 81924, "fsaverage": 327684, "fsLR32k": 64984}


@dataclass(frozen=True)
class StoryCheck:
    """How audio and responses of one story fit together.

    Attributes
    ----------
    story, split : str
        The story, and ``"train"``, ``"valid"`` or ``"test"``.
    n_rows, n_targets : int
        Size of the response array.
    n_repeats : int
        Presentations stored apart; 0 where there are none.
    audio_seconds : float
        Duration of the recording.
    first_seconds, last_seconds : float
        Audio times at which the first and the last row were acquired.
    overlap_seconds : float
        Time that has both audio and rows.
    first_row, stop_row : int
        Rows ``first_row`` to ``stop_row - 1`` are kept: those that the audio covers.
    score_from_row : int
        First row that counts when the story is scored.
    """

    story: str
    split: str
    n_rows: int
    n_targets: int
    n_repeats: int
    audio_seconds: float
    first_seconds: float
    last_seconds: float
    overlap_seconds: float
    first_row: int
    stop_row: int
    score_from_row: int

    @property
    def n_rows_kept(self) -> int:
        """Number of rows that the audio covers."""
        return self.stop_row - self.first_row


@dataclass(frozen=True)
class SubjectCheck:
    """What :func:`check_subject` found.

    Attributes
    ----------
    subject : str
        The subject's id.
    n_targets : int
        Number of targets, the same in every story.
    stories : tuple of StoryCheck
        Training, validation and test stories, in this order.
    warnings : tuple of str
        What is unusual; one sentence each.
    """

    subject: str
    n_targets: int
    stories: tuple[StoryCheck, ...]
    warnings: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Rows of all stories together."""
        return sum(story.n_rows for story in self.stories)

    @property
    def n_rows_kept(self) -> int:
        """Rows that the audio covers, of all stories together."""
        return sum(story.n_rows_kept for story in self.stories)

    @property
    def audio_seconds(self) -> float:
        """Duration of all recordings together."""
        return sum(story.audio_seconds for story in self.stories)

    @property
    def overlap_seconds(self) -> float:
        """Time with both audio and rows, of all stories together."""
        return sum(story.overlap_seconds for story in self.stories)


def check_subject(dataset: Dataset, subject: str) -> SubjectCheck:
    """Compare the audio, the responses and the times of one subject's stories.

    Parameters
    ----------
    dataset : Dataset
        Data of :func:`braindash.io.dataset.manifest.load_manifest`.
    subject : str
        The subject's id.

    Returns
    -------
    SubjectCheck
        Sizes, times and kept rows of every story, and warnings.

    Raises
    ------
    BadRecordings
        Names every recording that cannot be used.
    InputError
        Lists every problem: files that are missing, unreadable or of the wrong shape, different
        numbers of targets, rows without audio, audio without rows, no training story.
    """
    split = dataset.split(subject)
    require_countable({name: dataset.audio_path(name, subject) for name in split.parts})
    stories, found = check_stories(dataset, subject, split)
    problems = [one.problem for one in found]
    raise_problems(f"subject {subject!r} of {dataset.path}", problems)
    warnings = [
        *_split_warnings(dataset, subject, split),
        *_row_warnings(stories),
        *_matlab_warnings(dataset, subject, stories),
        *_repeats_warnings(dataset, subject, stories),
        *_surface_warnings(dataset, subject, stories[0].n_targets),
        *_absence_warnings(dataset, subject),
        *_unpaired_warnings(dataset, subject),
    ]
    return SubjectCheck(subject, stories[0].n_targets, tuple(stories), tuple(warnings))


@dataclass(frozen=True)
class StoryProblem:
    """One thing that is wrong, and where.

    Attributes
    ----------
    about : {"files", "durations", "targets", "split", "ceiling", "surfaces"}
        What it is about.
    story : str or None
        Which story; None: the subject as a whole.
    problem : Problem
        What is wrong, and what to do.
    """

    about: str
    story: str | None
    problem: Problem


def check_stories(
    dataset: Dataset, subject: str, split: Split
) -> tuple[list[StoryCheck], list[StoryProblem]]:
    """Look at all stories of a split, going on after one that cannot be used.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    split : Split
        The stories; those of the subject, or what is there of them.

    Returns
    -------
    stories : list of StoryCheck
        Those that could be opened.
    problems : list of StoryProblem
        Everything that makes the data unusable.
    """
    problems: list[StoryProblem] = []
    stories: list[StoryCheck] = []
    for story, name in split.parts.items():
        try:
            found = _story_check(dataset, subject, story, name)
        except InputError as error:
            problem = Problem(error.message, error.hint)
            about = "targets" if isinstance(error, WrongTargets) else "files"
            problems.append(StoryProblem(about, story, problem))
            continue
        stories.append(found)
        problems += [
            StoryProblem("durations", story, one) for one in _time_problems(dataset, subject, found)
        ]
    problems += [
        StoryProblem("targets", None, one) for one in _target_problems(dataset, subject, stories)
    ]
    if not split.train:
        one = Problem(
            "there is no training story",
            f"Give audio and responses of at least two more stories of {subject!r}.",
        )
        problems.append(StoryProblem("split", None, one))
    if stories:
        problems += [
            StoryProblem("ceiling", None, one)
            for one in _ceiling_problems(dataset, subject, stories[0].n_targets)
        ]
        problems += [
            StoryProblem("surfaces", None, one)
            for one in _surface_problems(dataset, subject, stories[0].n_targets)
        ]
    return stories, problems


def _story_check(dataset: Dataset, subject: str, story: str, split: str) -> StoryCheck:
    source = dataset.responses(subject, story)
    timing = dataset.timing(subject, story)
    seconds = audio_seconds(dataset.audio_path(story, subject))
    n_rows, n_targets = shape(source)
    repeats = repeats_shape(source)
    times = timing.times(n_rows)
    first, last = float(times[0]), float(times[-1])
    kept = covered_rows(times, seconds, timing.tr)
    return StoryCheck(
        story=story,
        split=split,
        n_rows=n_rows,
        n_targets=n_targets,
        n_repeats=repeats[0] if repeats else 0,
        audio_seconds=seconds,
        first_seconds=first,
        last_seconds=last,
        overlap_seconds=max(0.0, min(last, seconds) - max(first, 0.0)),
        first_row=kept.start,
        stop_row=kept.stop,
        score_from_row=source.score_from_row,
    )


# Times ------------------------------------------------------------------------------------------


def _time_problems(dataset: Dataset, subject: str, found: StoryCheck) -> Iterator[Problem]:
    timing = dataset.timing(subject, found.story)
    tolerance = dataset.tolerance(subject, found.story)
    misfits = [
        (-found.first_seconds, "the rows begin {:.1f} s before the audio"),
        (found.last_seconds - found.audio_seconds, "the rows go on {:.1f} s after its end"),
        (found.first_seconds, "the audio begins {:.1f} s before the first row"),
        (found.audio_seconds - found.last_seconds, "the audio goes on {:.1f} s after the last row"),
    ]
    reasons = [text.format(seconds) for seconds, text in misfits if seconds > tolerance]
    where = f"story {found.story!r}"
    units_known = dataset.subject(subject).units is not None
    hint = _timing_hint(timing, found, may_be_transposed=not units_known)
    if "transposed" in hint and written_by_matlab(dataset.responses(subject, found.story)):
        hint = f"{hint} {TURN_MATLAB}"
    if reasons:
        yield Problem(
            f"{where}: {' and '.join(reasons)}, more than the {tolerance:g} s allowed. "
            f"{found.n_rows} rows reach from {found.first_seconds:.1f} to "
            f"{found.last_seconds:.1f} s, the audio from 0 to {found.audio_seconds:.1f} s",
            hint,
        )
    elif found.n_rows_kept == 0:
        yield Problem(
            f"{where}: the audio covers none of its {found.n_rows} rows "
            f"({found.first_seconds:.1f} to {found.last_seconds:.1f} s; audio "
            f"{found.audio_seconds:.1f} s)",
            hint,
        )
    elif found.split == "test" and found.stop_row - max(found.score_from_row, found.first_row) < 2:
        yield Problem(
            f"{where}: score_from_row = {found.score_from_row} leaves fewer than two of "
            f"{found.n_rows_kept} rows to score",
            f"Give a row below {found.stop_row - 2} in [[runs]], or leave score_from_row out.",
        )


def _timing_hint(timing: Timing, found: StoryCheck, *, may_be_transposed: bool) -> str:
    given = (
        f"tr (now {timing.tr:g} s), first_volume ({timing.first_volume}) and audio_onset "
        f"({timing.audio_onset:g} s)"
    )
    if may_be_transposed and looks_turned(timing, found):
        return (
            f"The array ({found.n_rows}, {found.n_targets}) looks transposed: it must be "
            f"(n_rows, n_targets). Otherwise check {given}."
        )
    last_volume = timing.first_volume + found.n_rows - 1
    fitting = (found.audio_seconds + timing.audio_onset - timing.slice_time) / max(1, last_volume)
    return (
        f"Check {given} in [timing] or [[runs]], and that the audio is the one that was played; "
        f"with tr = {fitting:.4g} the rows would end with the audio. If rows without audio, or "
        "audio without rows, are meant, raise timing.tolerance."
    )


def looks_turned(timing: Timing, found: StoryCheck) -> bool:
    """Say whether the targets would do as rows: they end with the audio."""
    end = float(timing.times(found.n_targets)[-1])
    return abs(end - found.audio_seconds) < 0.1 * found.audio_seconds


def all_look_turned(dataset: Dataset, subject: str, stories: Sequence[StoryCheck]) -> bool:
    """Say whether all arrays are turned: as many rows in each, and targets that fit the audio."""
    if len({one.n_rows for one in stories}) != 1 or len({one.n_targets for one in stories}) == 1:
        return False
    return all(looks_turned(dataset.timing(subject, one.story), one) for one in stories)


# Targets ----------------------------------------------------------------------------------------


def _target_problems(
    dataset: Dataset, subject: str, stories: Sequence[StoryCheck]
) -> Iterator[Problem]:
    counts = Counter(found.n_targets for found in stories)
    if all_look_turned(dataset, subject, stories):
        matlab = written_by_matlab(dataset.responses(subject, stories[0].story))
        shapes = ", ".join(f"({found.n_rows}, {found.n_targets})" for found in stories[:3])
        yield Problem(
            f"the response arrays look transposed: all stories have {stories[0].n_rows} rows, and "
            f"their numbers of targets differ ({shapes}{', ...' if len(stories) > 3 else ''})"
            f"{'; MATLAB wrote them' if matlab else ''}",
            TURN_MATLAB if matlab else "Store one row per TR: (n_rows, n_targets).",
        )
        return
    if len(counts) > 1:
        groups = []
        for n_targets, n_stories in counts.most_common():
            names = [found.story for found in stories if found.n_targets == n_targets]
            shown = ", ".join(names[:3]) + (", ..." if n_stories > 3 else "")
            groups.append(f"{n_targets} in {n_stories} ({shown})")
        yield Problem(
            f"the stories have different numbers of targets: {'; '.join(groups)}",
            "All stories of a subject need the same targets in the same order; give units in "
            "[[subjects]] to see which files differ.",
        )
        return
    expected = SPACE_TARGETS.get(dataset.space)
    for n_targets in counts:
        if expected is not None and n_targets != expected:
            yield Problem(
                f"responses.space = {dataset.space!r} has {expected} targets, but the responses "
                f"have {n_targets}",
                "Store both hemispheres whole, left then right, with NaN where there are no data; "
                "or set responses.space to what the targets are ('native-surface', 'roi', ...).",
            )


def _ceiling_problems(dataset: Dataset, subject: str, n_targets: int) -> Iterator[Problem]:
    path = dataset.noise_ceiling_path(subject)
    if path is None:
        return
    try:
        count = len(load_ceiling(path, dataset.columns_path(subject)))
    except InputError as error:
        yield Problem(f"noise_ceiling: {error.message}", error.hint)
        return
    if count != n_targets:
        yield Problem(
            f"noise_ceiling {path} has {count} values, but there are {n_targets} targets",
            f"Give one value per target, in the order of the responses: ({n_targets},).",
        )


def _surface_problems(dataset: Dataset, subject: str, n_targets: int) -> Iterator[Problem]:
    """Refuse what cannot bring these targets to a surface, although the manifest says it does."""
    try:
        plan_surface(dataset, subject, n_targets)
    except InputError as error:
        yield Problem(error.message, error.hint)


# Warnings ---------------------------------------------------------------------------------------


def _split_warnings(dataset: Dataset, subject: str, split: Split) -> Iterator[str]:
    if dataset.scheme(subject) == WITHIN_STORY:
        yield (
            f"{subject!r} is scored within one story, {split.test[0]!r}: blocks of its rows are "
            "held out in turn"
        )
        return
    if len(split.train) < 3:
        named = ", ".join(map(repr, split.train))
        yield (
            f"there are fewer than three training stories ({named}): regularisation is chosen on "
            "chunks of 20 rows, which is less certain than leaving out whole stories"
        )
    for story in split.test:
        for other in (*split.train, *split.valid):
            if _same_file(dataset, subject, story, other):
                yield (
                    f"the test story {story!r} and {other!r} have the same audio: its score is "
                    "not that of an unseen story"
                )


def _same_file(dataset: Dataset, subject: str, story: str, other: str) -> bool:
    first, second = (dataset.audio_path(name, subject) for name in (story, other))
    same_size = first.stat().st_size == second.stat().st_size
    return same_size and digest_input(first) == digest_input(second)


def _row_warnings(stories: Sequence[StoryCheck]) -> Iterator[str]:
    left_out = {found.story: found.n_rows - found.n_rows_kept for found in stories}
    total = sum(left_out.values())
    if total:
        named = [f"{story} {count}" for story, count in left_out.items() if count]
        shown = ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
        yield (
            f"{total} of {sum(found.n_rows for found in stories)} rows are left out, because the "
            f"TR before them holds no audio or the audio has ended ({shown})"
        )


def _matlab_warnings(
    dataset: Dataset, subject: str, stories: Sequence[StoryCheck]
) -> Iterator[str]:
    written = [s for s in stories if written_by_matlab(dataset.responses(subject, s.story))]
    if written:
        one = written[0]
        yield (
            f"MATLAB wrote the responses ({one.story!r} and {len(written) - 1} others): they are "
            f"read with their axes turned, {one.n_rows} rows of {one.n_targets} targets, from what "
            f"MATLAB shows as {one.n_targets} x {one.n_rows}"
        )


def _repeats_warnings(
    dataset: Dataset, subject: str, stories: Sequence[StoryCheck]
) -> Iterator[str]:
    if dataset.noise_ceiling_path(subject) is not None:
        return
    for found in stories:
        if found.split == "test" and found.n_repeats == 0:
            yield (
                f"the test story {found.story!r} has no repeats, so there is no noise ceiling "
                f"from repeats{_absent_key(dataset, subject, found.story)}"
            )


def _surface_warnings(dataset: Dataset, subject: str, n_targets: int) -> Iterator[str]:
    """Tell of targets of a brain that no map can show."""
    if dataset.space not in _UNPLACED or plan_surface(dataset, subject, n_targets) is not None:
        return
    yield (
        f"nothing brings responses of {subject!r} in the space {dataset.space!r} to a surface: "
        f"there will be tables and no map of the cortex. {_UNPLACED[dataset.space]} in the "
        "manifest gives them one, also later: nothing is computed twice"
    )


def _absence_warnings(dataset: Dataset, subject: str) -> Iterator[str]:
    """Tell stories that would be trained on if their files had been fetched."""
    if EVERY not in dataset.tables.splits.train:
        return
    absent = list(dataset.not_fetched)
    absent += [
        path
        for story in dataset.known_stories
        for path in dataset.response_paths(subject, story)
        if not path.exists() and find_placeholder(path) is not None
    ]
    if absent:
        names = [path.name for path in absent]
        stands = {found.hint: found.what for found in map(find_placeholder, absent) if found}
        yield (
            f"{len(absent)} files are not here, and their stories are left out "
            f"({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}). "
            + " ".join(f"In their place is {what}. {hint}" for hint, what in stands.items())
        )


def _unpaired_warnings(dataset: Dataset, subject: str) -> Iterator[str]:
    """Tell stories that would be trained on if both of their halves were there."""
    if EVERY in dataset.tables.splits.train:
        yield from (f"{one.message}. {one.hint}" for one in unpaired(dataset, subject))


def _absent_key(dataset: Dataset, subject: str, story: str) -> str:
    source = dataset.responses(subject, story)
    keys = available_keys(source.paths[0])
    if source.repeats_key is None or not keys or has_key(source.paths[0], source.repeats_key):
        return ""
    return (
        f"; repeats_key = {source.repeats_key!r} is not in {source.paths[0]}. "
        f"{near_match(source.repeats_key, keys)}"
    )
