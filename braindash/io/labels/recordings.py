"""The audio of labelled recordings: found by name, and measured by its headers."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import soundfile

from braindash.errors import InputError
from braindash.io.dataset.audio import AUDIO_EXTENSIONS, audio_seconds
from braindash.names import Spellings, files_in

_LFS_POINTER = b"version https://git-lfs"


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
        ``/``. Of several files of one recording the first in the order of ``AUDIO_EXTENSIONS``.

    Raises
    ------
    InputError
        There is no such folder, or no audio in it.
    """
    check_folder(folder)
    found: dict[str, Path] = {}
    for path in sorted(files_in(folder), key=lambda path: (_rank(path), path)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if _rank(path) < len(AUDIO_EXTENSIONS) and name.endswith(suffix):
            found.setdefault(name.removesuffix(suffix), path)
    if not found:
        raise InputError(
            f"{folder} holds no audio (*{suffix}{'|'.join(AUDIO_EXTENSIONS)})",
            hint="Give the folder of the recordings.",
        )
    return found


def check_folder(folder: Path) -> None:
    """Refuse what is no folder."""
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "missing"
        raise InputError(f"the folder {folder} is {kind}", hint="Check the path.")


def matcher(audio: Mapping[str, Path]) -> Callable[[str], str]:
    """Return a function that says which recording a label file belongs to.

    Parameters
    ----------
    audio : mapping of str to Path
        What :func:`find_audio` found.

    Returns
    -------
    callable
        From the relative path of a label file without suffix to the recording of the same path,
        else to the only one of the same file name, else to that path itself; each by any spelling
        (:class:`braindash.names.Spellings`).
    """
    counts = Counter(_file_name(recording) for recording in audio)
    alone = {_file_name(name): name for name in audio if counts[_file_name(name)] == 1}
    whole, last = Spellings(audio), Spellings(alone)
    return lambda name: whole.name_of(name) or last.get(_file_name(name), name)


def read_headers(audio: Mapping[str, Path]) -> pd.DataFrame:
    """Read how long recordings are.

    Parameters
    ----------
    audio : mapping of str to Path
        Files by recording.

    Returns
    -------
    pandas.DataFrame
        ``recording``, ``path`` (str), ``seconds``, ``rate_hz``; sorted by recording.

    Raises
    ------
    InputError
        A file is missing, no audio, or empty.
    """
    rows = [(name, str(path), *_header(path)) for name, path in sorted(audio.items())]
    return pd.DataFrame(rows, columns=["recording", "path", "seconds", "rate_hz"])


def _rank(path: Path) -> int:
    extension = path.suffix.lower()
    return AUDIO_EXTENSIONS.index(extension) if extension in AUDIO_EXTENSIONS else 99


def _file_name(recording: str) -> str:
    return recording.rpartition("/")[2]


def _header(path: Path) -> tuple[float, int]:
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError):
        _refuse_pointer(path)
        audio_seconds(path)  # opens the file in the same way, and says what is wrong
        raise
    if info.frames <= 0:
        audio_seconds(path)
    return float(info.frames / info.samplerate), int(info.samplerate)


def _refuse_pointer(path: Path) -> None:
    if not path.is_file():
        return
    with path.open("rb") as stream:
        start = stream.read(len(_LFS_POINTER))
    if start == _LFS_POINTER:
        raise InputError(
            f"the audio file {path} is a Git LFS pointer, not the recording itself",
            hint="Run `git lfs pull` in its folder, or download the recordings.",
        )
