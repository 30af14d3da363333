"""One rule for the names of files and folders, for every reader of data that users give.

What a system or a sync program leaves between the data is passed over, links to folders are
followed, names are met whatever the case of their letters and the form of their accents (NFC or
NFD) where only one file can be meant, and a path is refused with the true reason where it was
written for another system. What leaves the machine names no place of it.
"""

import logging
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from braindash.errors import InputError, printable

logger = logging.getLogger(__name__)

# Of Windows, macOS, network stores and sync programs; what begins with a dot is hidden anyway.
_LEFT_BY_SYSTEMS = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
        "__macosx",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "@eadir",
        "#recycle",
        "#snapshot",
    }
)
_NAME_BYTES = 255
_PATH_BYTES = 4096
_LINK_BYTES = 1024
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NAMED = 3

ValueT = TypeVar("ValueT")


def is_hidden(name: str) -> bool:
    """Say whether a name is none of the user's data: hidden, or left by a system.

    Parameters
    ----------
    name : str
        Of one file or folder, such as ``"._story.wav"`` (macOS), ``"Thumbs.db"`` (Windows),
        ``"__MACOSX"``, ``"~$labels.xlsx"`` (a file that an office program has open).
    """
    return name.startswith((".", "~$")) or name.casefold() in _LEFT_BY_SYSTEMS


def is_readable(name: str) -> bool:
    """Say whether a name is UTF-8: others cannot stand in results, tables and keys."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def files_in(folder: Path, *, deep: bool = True, passed_over: Collection[str] = ()) -> list[Path]:
    """List the files of a folder, and of all folders in it.

    Parameters
    ----------
    folder : Path
        Where to look.
    deep : bool, default True
        Look into the folders in it as well. Links to folders are followed; a folder that is
        reached twice is read once, under its own name where it has one here.
    passed_over : collection of str
        Names of folders that are not looked into.

    Returns
    -------
    list of Path
        Sorted. Hidden files and folders (:func:`is_hidden`) are passed over in silence, names that
        are no UTF-8 with a warning that names them. Links to nothing are among them: whoever opens
        one says what it is.
    """
    found: list[Path] = []
    strange: list[str] = []
    links: list[Path] = []
    seen: set[Path] = set()
    waiting = [folder]
    while waiting or links:
        # True folders first: a link to one of them leads to nothing new.
        place = waiting.pop() if waiting else links.pop(0)
        real = place.resolve()
        if real in seen:
            continue
        seen.add(real)
        for entry in _entries(place, vanishing=place != folder):
            path = place / entry.name
            if is_hidden(entry.name) or (entry.name in passed_over and _is_folder(entry)):
                continue
            if not is_readable(entry.name):
                strange.append(printable(str(path.relative_to(folder))))
            elif not _is_folder(entry):
                target = _copied_link(entry, path) if deep else None
                if target is None:
                    found.append(path)
                else:
                    links.append(target)
            elif deep:
                (links if entry.is_symlink() else waiting).append(path)
    if strange:
        logger.warning(
            "%d names in %s are no UTF-8 and are passed over (rename them): %s",
            len(strange),
            printable(str(folder)),
            "; ".join(strange[:_NAMED]) + ("; ..." if len(strange) > _NAMED else ""),
        )
    return sorted(found)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other, or to a name that cannot be
        return False


def _copied_link(entry: "os.DirEntry[str]", path: Path) -> Path | None:
    """Return the folder that a link led to before something copied it as a line of text."""
    if "." in entry.name or entry.is_symlink():
        return None
    try:
        if entry.stat().st_size > _LINK_BYTES:
            return None
        line = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if "/" not in line or not line.isprintable() or not (path.parent / line).is_dir():
        return None
    logger.warning("%s is a link that was copied as text; %s is read", path, path.parent / line)
    return path.parent / line


def _entries(folder: Path, *, vanishing: bool) -> list["os.DirEntry[str]"]:
    """List a folder; one that was listed itself a moment ago may be gone (``vanishing``)."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        logger.warning("the folder %s may not be read and is passed over", printable(str(folder)))
        return []
    except (FileNotFoundError, NotADirectoryError):
        if not vanishing:
            raise
        return []


def named_like(files: Iterable[Path], pattern: str) -> list[Path]:
    """Keep the files whose name fits a pattern such as ``"*.TextGrid"``, in any case."""
    return [path for path in files if fnmatchcase(path.name.casefold(), pattern.casefold())]


def folded(name: str) -> str:
    """Return what two spellings of one name share: accents composed, case folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Spellings(Mapping[str, ValueT]):
    """A mapping that finds a name by any spelling of it, where only one name can be meant.

    Spellings differ in the case of letters and in the form of accents (NFC, NFD).

    Parameters
    ----------
    named : mapping of str
        Values by name. Iteration and length are those of this mapping.
    """

    def __init__(self, named: Mapping[str, ValueT]) -> None:
        self._named = named
        self._alike: dict[str, list[str]] = {}
        for name in named:
            self._alike.setdefault(folded(name), []).append(name)

    def name_of(self, wanted: str) -> str | None:
        """Return the name that is meant, as it stands in the mapping; None where there is none."""
        if wanted in self._named:
            return wanted
        alike = self._alike.get(folded(wanted), [])
        return alike[0] if len(alike) == 1 else None

    def __getitem__(self, wanted: str) -> ValueT:
        name = self.name_of(wanted)
        if name is None:
            raise KeyError(wanted)
        return self._named[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)


def existing(path: Path) -> Path:
    """Return the file or folder that a path means, by any spelling of its names.

    Parameters
    ----------
    path : Path
        As something writes it.

    Returns
    -------
    Path
        ``path`` itself where it exists, or where none or several are spelled alike.
    """
    missing, place = [], path
    while not os.path.lexists(place) and place.parent != place:  # or a root that is not there
        missing.append(place)
        place = place.parent
    for one in reversed(missing):
        found = _alike(place / one.name)
        place = one if found is None else found
    return place


def _alike(path: Path) -> Path | None:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return None
    name = Spellings(dict.fromkeys(names)).name_of(path.name)
    return None if name is None else path.parent / name


def given_path(text: str | Path, folder: Path | None = None, *, exact: bool = False) -> Path:
    """Read a path that a user, a manifest or a table writes.

    Parameters
    ----------
    text : str or Path
        With ``~`` for a home folder, or a ``file://`` address; with the back-slashes of Windows,
        where there is no such file otherwise.
    folder : Path, optional
        What a relative path is relative to.
    exact : bool, default False
        Look for no other spelling: for what is written, and for names that may mean something
        else.

    Returns
    -------
    Path
        It need not exist. Where it exists by another spelling only, it is that one.

    Raises
    ------
    InputError
        It is an address elsewhere, a path of a Windows drive, the home of an unknown user, or no
        path that any file can have.
    """
    base = Path() if folder is None else folder
    written = str(text)
    path = base / _expanded(_address(written), written)
    _require_possible(path, written)
    if os.path.lexists(path) or (exact and not _DRIVE.match(written)):
        return path
    for other in () if exact else _other_readings(written):
        known = existing(base / _expanded(other, written))
        if os.path.lexists(known):
            return known
    if os.name != "nt" and _DRIVE.match(written.strip()):
        raise InputError(
            f"{written!r} is a path of a Windows drive, which this computer does not have",
            hint="Give the path as it is here, best relative to the file that names it, with '/'.",
        )
    return existing(path)


def absent(path: Path, kind: str = "file") -> str:
    """Say that there is none, and why that may be where the path was written for Windows."""
    told = f"there is no {kind} {path}"
    if os.name != "nt" and "\\" in str(path):
        told += " (a back-slash is a letter of a name here: write '/' between folders)"
    return told


def _other_readings(written: str) -> Iterable[str]:
    bare = _address(written).strip()
    yield bare
    # On other systems a back-slash is a letter like all others: only where nothing else is meant.
    if "\\" in bare and not _DRIVE.match(bare):
        yield bare.replace("\\", "/")


def _address(text: str) -> str:
    """Return the path in a ``file://`` address; any other text as it is."""
    bare = text.strip()
    if bare.lower().startswith("file:/") and not bare.lower().startswith("file://"):
        return unquote(bare[len("file:") :])  # as Path shortens it
    scheme, colon, rest = bare.partition("://")
    if not colon or not scheme.isalpha():
        return text
    if scheme.lower() != "file":
        raise InputError(
            f"{text!r} is an address, not a file of this computer",
            hint="Download it, and give the path of the copy.",
        )
    parts = urlsplit(f"file://{rest}")
    if parts.netloc not in ("", "localhost"):
        raise InputError(
            f"{text!r} names a file of the computer {parts.netloc!r}",
            hint="Give the path as it is here; file addresses have three slashes: file:///data.",
        )
    # What a file's own name holds, '#' and '?' included, is part of the path.
    return unquote(rest.removeprefix(parts.netloc))


def _expanded(text: str, written: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        user = PurePosixPath(text).parts[0]
        raise InputError(
            f"{written!r} begins with the home folder of a user who is not known here: {user!r}",
            hint="Give the whole path; a folder whose name begins with ~ is written ./~NAME.",
        ) from error


def _require_possible(path: Path, written: str) -> None:
    if "\0" in written:
        raise InputError(f"{written!r} holds a zero byte", hint="Correct the path.")
    if len(written) > _PATH_BYTES:
        raise InputError(
            f"{written[:40]!r}... has {len(written)} letters: no path can be longer than "
            f"{_PATH_BYTES} bytes",
            hint="Check what is written there: a path is expected.",
        )
    for name in path.parts:
        size = len(os.fsencode(name)) if is_readable(name) else 0
        if size > _NAME_BYTES:
            raise InputError(
                f"the name {name[:40]!r}... has {size} bytes: no file name can be longer than "
                f"{_NAME_BYTES}",
                hint="Check what is written there: a path is expected.",
            )


# ---- places of this machine -------------------------------------------------------------------

# Several steps from the root, a home or a drive, inside a text; nothing that a word, a URL or
# another path leads up to, but for what names a control or a space: untrained:/home/lab/model.
_STEP = r"[^/\\\s'\",;()\[\]{}<>]"
_KIND = r"[\w-]{2,}:(?!//)"
_PLACE = re.compile(
    rf"(?<![\w.:/\\~-])((?:{_KIND})?)(?:file://)?(?:~|[A-Za-z]:)?[/\\](?:{_STEP}+[/\\])+({_STEP}*)"
)
_WHOLE_PLACE = re.compile(
    rf"((?:{_KIND})?)(?:file://)?(?:~|[A-Za-z]:)?[/\\](?:.*[/\\])?([^/\\]+)[/\\]?"
)


def without_places(value: Any) -> Any:
    """Return JSON values whose absolute paths are cut down to their last name.

    Parameters
    ----------
    value : JSON value
        Paths are found as whole texts, whatever is in their names, and inside of texts where no
        blank is.

    Returns
    -------
    JSON value
        ``"…/NAME"`` in place of every path; relative paths, hub ids and URLs stay.
    """
    if isinstance(value, Mapping):
        return {name: without_places(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(one) for one in value]
    if not isinstance(value, str):
        return value
    whole = _WHOLE_PLACE.fullmatch(value) if "\n" not in value else None
    if whole:
        return f"{whole[1]}…/{whole[2]}"
    return _PLACE.sub(lambda found: f"{found[1]}…/{found[2]}", value)
