"""The files of a folder, listed once, and the sounds among them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from braindash.errors import InputError
from braindash.files import find_placeholder
from braindash.io.dataset.audio import AUDIO_EXTENSIONS
from braindash.names import files_in, folded, given_path

# Folders with thousands of files that no index needs.
_PASSED_OVER = frozenset(
    {
        "anat",
        "dwi",
        "fmap",
        "perf",
        "figures",
        "log",
        "logs",
        "freesurfer",
        "freesurfer_subjdir",
        "pycortex-db",
        "venv",
        "node_modules",
    }
)
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class File:
    """One file of a folder.

    Attributes
    ----------
    path : Path
        Where it is.
    place : str
        Its folder below the indexed one, with slashes; empty: that one itself.
    name : str
        Its name.
    """

    path: Path
    place: str
    name: str

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders below the indexed one that lead to it."""
        return tuple(self.place.split("/")) if self.place else ()

    def exists(self) -> bool:
        """Say whether its content is here, not only a link to it."""
        return self.path.exists()

    def placeholder(self) -> str:
        """Say what stands in its place and what fetches it; empty where it is here."""
        found = find_placeholder(self.path)
        return "" if found is None else f"{found.what}. {found.hint}"


@dataclass(frozen=True)
class Tree:
    """A folder to be recognised, scanned once.

    Attributes
    ----------
    root : Path
        The folder.
    files : tuple of File
        What is in it, sorted; hidden files and folders that no index needs are passed over.
    audio : Path or None
        Another folder with sounds.
    """

    root: Path
    files: tuple[File, ...]
    audio: Path | None = None
    _more: tuple[File, ...] = field(default=())

    @cached_property
    def by_name(self) -> Mapping[str, tuple[File, ...]]:
        """Files by their name."""
        found: dict[str, list[File]] = {}
        for file in self.files:
            found.setdefault(file.name, []).append(file)
        return {name: tuple(files) for name, files in found.items()}

    def named(self, pattern: "re.Pattern[str] | str") -> Iterator[tuple[File, "re.Match[str]"]]:
        """Give the files whose whole name fits a pattern, with the match."""
        compiled = re.compile(pattern) if isinstance(pattern, str) else pattern
        for file in self.files:
            match = compiled.fullmatch(file.name)
            if match is not None:
                yield file, match

    @cached_property
    def sounds(self) -> tuple[File, ...]:
        """Files of sound: those of the other folder first, where one was given."""
        every = (*self._more, *self.files)
        return tuple(file for file in every if file.name.lower().endswith(AUDIO_EXTENSIONS))

    @cached_property
    def _sounds_by_stem(self) -> Mapping[str, tuple[File, ...]]:
        found: dict[str, list[File]] = {}
        for file in self.sounds:
            found.setdefault(folded(stem(file.name)), []).append(file)
        return {name: tuple(files) for name, files in found.items()}

    def sound(self, *stems: str) -> File | None:
        """Find the sound that is named so; the first stem that any file has, in any case.

        Of several files one that is here comes before one that was not fetched.
        """
        for one in stems:
            files = self._sounds_by_stem.get(folded(one), ())
            if files:
                return next((file for file in files if file.exists()), files[0])
        return None


def scan(folder: Path | str, audio: Path | str | None = None) -> Tree:
    """List the files of a folder, and the sounds of another one.

    Parameters
    ----------
    folder : path
        With all folders in it.
    audio : path, optional
        Folder with sounds that are not in the first one.

    Raises
    ------
    InputError
        One of them is no folder.
    """
    root = _folder(folder, "folder of data")
    more = None if audio is None else _folder(audio, "folder of sounds")
    own = tuple(_listed(root))
    return Tree(root, own, more, () if more is None else tuple(_listed(more)))


def _folder(given: Path | str, what: str) -> Path:
    path = given_path(given)
    if not path.is_dir():
        kind = "is a file" if path.is_file() else "does not exist"
        raise InputError(f"the {what} {path} {kind}", hint="Give the folder itself.")
    return path


def _listed(root: Path) -> Iterator[File]:
    length = len(root.as_posix().rstrip("/")) + 1
    for path in files_in(root, passed_over=_PASSED_OVER):
        text = path.as_posix()
        # Files behind a link that was copied as text lie elsewhere.
        inner = text[length:] if path.is_relative_to(root) else path.name
        place, _, name = inner.rpartition("/")
        yield File(path, place, name)


def stem(name: str) -> str:
    """Return a file's name without its last ending."""
    return name.rpartition(".")[0] or name


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return what sorts numbers within names by their value: run-2 before run-15."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in _NUMBER.split(text)
    )


def several(names: Iterable[str], limit: int = 5) -> str:
    """Name some of many, with how many there are."""
    listed = list(names)
    shown = ", ".join(listed[:limit])
    return f"{shown} and {len(listed) - limit} more" if len(listed) > limit else shown
