"""Scans of a BIDS folder as recordings of stories: who heard which sound, from when on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from braindash.io.layouts.building import not_fetched, without_sound
from braindash.io.layouts.finding import Template
from braindash.io.layouts.tree import File, natural

# Rows before and behind a sound are left out, however many: one scan may hold several stories.
_WHOLE_SCAN = 1e6
# Presentations may begin so much of a TR apart, as triggers do, and be averaged row by row.
_SAME_SHARE = 0.1


@dataclass(frozen=True)
class Recording:
    """Responses of one scan to one story.

    Attributes
    ----------
    subject, story : str
        Who heard what.
    files : tuple of File
        One, or the left and the right hemisphere.
    onset : float
        Seconds from scan volume 0 to the sound's first sample.
    tr, slice_time : float
        In seconds.
    scan : str
        Its name, for messages.
    shared : bool
        Whether the scan holds other stories too.
    """

    subject: str
    story: str
    files: tuple[File, ...]
    onset: float
    tr: float
    slice_time: float
    scan: str
    shared: bool = False

    def is_timed_as(self, other: "Recording") -> bool:
        """Say whether the rows of another presentation of the story can be averaged with these."""
        apart = max(abs(self.onset - other.onset), abs(self.slice_time - other.slice_time))
        return self.tr == other.tr and apart <= _SAME_SHARE * self.tr + 1e-9


class HeardSounds:
    """Sounds of the stories that scans name, and what is not here of sounds and scans.

    Attributes
    ----------
    files : dict of str to File
        By story.
    absent : list of File
        Links to content that was never fetched.
    """

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.absent: list[File] = []
        self._silent: set[str] = set()

    def story(self, name: str, stimulus: str, file: File | None) -> str | None:
        """Name the story of a stimulus; None where its sound is not here, which is noted.

        Parameters
        ----------
        name : str
            As the story is named, where no other sound is.
        stimulus : str
            As the events write it.
        file : File or None
            The sound.
        """
        if file is None:
            self._silent.add(name)
            return None
        if not file.exists():
            self.absent.append(file)
            return None
        if self.files.setdefault(name, file) != file:
            # Two sounds of one name in two folders: the folder tells them apart.
            name = stimulus.rpartition(".")[0].replace("/", "_")
            self.files[name] = file
        return name

    def are_here(self, files: Iterable[File]) -> bool:
        """Say whether all files are here; those that are not are noted."""
        lacking = [file for file in files if not file.exists()]
        self.absent += lacking
        return not lacking

    def missing(self, where: str) -> tuple[str, str]:
        """Say what was never fetched, and which stories have no sound; ``where`` these belong."""
        return not_fetched(self.absent), without_sound(self._silent, where)


def repeated_stories(subjects: Mapping[str, Mapping[str, list[Recording]]]) -> list[str]:
    """List the stories that some subject heard more than once."""
    return sorted(
        {story for known in subjects.values() for story, heard in known.items() if len(heard) > 1}
    )


def response_path(files: tuple[File, ...]) -> Any:
    """Return the path of one file, or of two as a template with ``{hemi}``."""
    if len(files) == 1:
        return files[0].path
    left = files[0]
    return Template(left.path.parent, _braced(left.name).replace("hemi-L", "hemi-{hemi}"))


def _braced(name: str) -> str:
    return name.replace("{", "{{").replace("}", "}}")


def grouped(
    recordings: Iterable[Recording], excluded: list[str]
) -> dict[str, dict[str, list[Recording]]]:
    """Join the scans of a subject in which one story was heard, by subject and story.

    Those that were timed as the first one are further presentations; others are told in
    ``excluded``.
    """
    found: dict[str, dict[str, list[Recording]]] = {}
    ordered = sorted(recordings, key=lambda one: (natural(one.subject), natural(one.scan)))
    for one in ordered:
        same = found.setdefault(one.subject, {}).setdefault(one.story, [])
        if same and not one.is_timed_as(same[0]):
            excluded.append(
                f"{one.scan}: {one.story} was played from another moment on (or with another TR) "
                f"than in {same[0].scan}, so its rows cannot be averaged with those"
            )
            continue
        same.append(one)
    return found


def run_rows(
    subjects: Mapping[str, Mapping[str, list[Recording]]],
    tr: float,
    onset: float,
    slice_time: float,
) -> list[dict[str, Any]]:
    """Write one row of [[runs]] for each subject and story; what [timing] says is left out."""
    rows = []
    for subject, stories in subjects.items():
        for story, heard in sorted(stories.items(), key=lambda one: natural(one[0])):
            first = heard[0]
            paths = [response_path(one.files) for one in heard]
            row: dict[str, Any] = {
                "subject": subject,
                "story": story,
                "response": paths[0] if len(paths) == 1 else paths,
                "tr": None if first.tr == tr else first.tr,
                "audio_onset": None if first.onset == onset else first.onset,
                "slice_time": None if first.slice_time == slice_time else first.slice_time,
                "tolerance": _WHOLE_SCAN if first.shared else None,
            }
            rows.append({name: value for name, value in row.items() if value is not None})
    return rows
