"""The audio of labelled recordings: found by name, and counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from braindash.errors import InputError
from braindash.io.dataset.audio import AUDIO_EXTENSIONS, find_recording
from braindash.io.recordings import Fault, count_recordings
from braindash.names import Spellings, files_in


def find_audio(folder: Path, suffix: str = "") -> dict[str, Path]:
    """Find the audio files of a folder and all folders in it.

    Parameters
    ----------
    folder : Path
        Where to look.
    suffix : str
        What follows the recording's name before the extension, such as ``"_audio"``.

    Returns
    -------
    dict of str to Path
        Files by recording: the path relative to ``folder``, without suffix and extension, with
        ``/``.

    Raises
    ------
    InputError
        There is no such folder, no audio in it, or a recording has several files.
    """
    check_folder(folder)
    found: dict[str, list[Path]] = {}
    for path in files_in(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if path.suffix.lower() in AUDIO_EXTENSIONS and name.endswith(suffix):
            found.setdefault(name.removesuffix(suffix), []).append(path)
    if not found:
        raise InputError(
            f"{folder} holds no audio (*{suffix}{'|'.join(AUDIO_EXTENSIONS)})",
            hint="Give the folder of the recordings.",
        )
    refuse_several(found)
    return {name: paths[0] for name, paths in found.items()}


def refuse_several(found: Mapping[str, Sequence[Path]]) -> None:
    """Refuse recordings that have several audio files: nobody knows which one is labelled."""
    several = {name: paths for name, paths in found.items() if len(paths) > 1}
    if several:
        name, paths = next(iter(several.items()))
        raise InputError(
            f"the recording {name!r} has several audio files: "
            f"{', '.join(path.name for path in paths)} ({len(several)} such recordings)",
            hint="Keep one of them in this folder, or keep the others in a folder of their own.",
        )


def check_folder(folder: Path) -> None:
    """Refuse what is no folder."""
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "missing"
        raise InputError(f"the folder {folder} is {kind}", hint="Check the path.")


def matcher(audio: Mapping[str, Path], files: Iterable[str]) -> Callable[[str], str]:
    """Return a function that says which recording a label file belongs to.

    Parameters
    ----------
    audio : mapping of str to Path
        What :func:`find_audio` found.
    files : iterable of str
        Relative paths of all label files, without suffix.

    Returns
    -------
    callable
        From the relative path of a label file without suffix to the recording of the same path,
        else to the only one of the same file name, else to that path itself; each by any spelling
        (:class:`braindash.names.Spellings`). A recording that one of the files names exactly is
        given to no other spelling.
    """
    counts = Counter(_file_name(recording) for recording in audio)
    alone = {_file_name(name): name for name in audio if counts[_file_name(name)] == 1}
    whole, last = Spellings(audio), Spellings(alone)
    files = list(files)
    exact = {alone.get(_file_name(name)) for name in files} | set(audio).intersection(files)

    def recording_of(name: str) -> str:
        found = whole.name_of(name) or last.get(_file_name(name))
        if found is None:
            return name
        spelled = found == name or _file_name(found) == _file_name(name)
        return name if found in exact and not spelled else found

    return recording_of


def measure_recordings(audio: Mapping[str, Path]) -> tuple[pd.DataFrame, tuple[Fault, ...]]:
    """Count how long recordings are.

    Parameters
    ----------
    audio : mapping of str to Path
        Files by recording.

    Returns
    -------
    table : pandas.DataFrame
        ``recording``, ``path`` (str), ``seconds``, ``rate_hz``; sorted by recording.
    faults : tuple of Fault
        Recordings that are missing, no audio, empty or end early: they are not in the table.
    """
    faults = count_recordings(audio)
    bad = {one.name for one in faults}
    found = [
        (name, find_recording(path)) for name, path in sorted(audio.items()) if name not in bad
    ]
    rows = [(name, str(one.path), one.seconds, one.rate_hz) for name, one in found]
    columns = ["recording", "path", "seconds", "rate_hz"]
    return pd.DataFrame(rows, columns=columns), tuple(faults)


def _file_name(recording: str) -> str:
    return recording.rpartition("/")[2]
