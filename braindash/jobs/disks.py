"""What kind of file system a folder lies on, of one machine or of several, and what holds there."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

# As the system calls them. SQLite's log and POSIX locks fail on these, or hold on one machine only.
_SHARED_KINDS = frozenset(
    """
    9p afpfs afs beegfs ceph cifs coda cvmfs dvs fhgfs fuse.ceph fuse.cephfs fuse.glusterfs
    fuse.juicefs fuse.sshfs glusterfs gpfs lustre macfuse ncpfs nfs nfs3 nfs4 ocfs2 orangefs panfs
    pvfs2 smb3 smbfs vboxsf wekafs webdav
    """.split()
)


class FileSystem(NamedTuple):
    """Where a folder lies.

    Attributes
    ----------
    kind : str
        As the system calls it, such as ``"ext4"`` or ``"nfs4"``; empty where nobody knows.
    mount : str
        The folder that it is mounted on.
    """

    kind: str
    mount: str

    @property
    def is_shared(self) -> bool:
        """Whether other machines may write to it too."""
        return self.kind.casefold() in _SHARED_KINDS


def file_system(path: Path, mounts: Iterable[tuple[str, str]] | None = None) -> FileSystem:
    """Find the file system of a path, which need not exist yet.

    Parameters
    ----------
    path : Path
        Any file or folder.
    mounts : iterable of (str, str), optional
        Mount points and kinds; those of this machine when left out.
    """
    if mounts is None:
        mounts = [(one.mountpoint, one.fstype) for one in psutil.disk_partitions(all=True)]
    place = path.absolute().resolve()
    # Of two that are mounted on one folder the later one is seen.
    found = FileSystem("", os.sep)
    for mount, kind in mounts:
        inside = place.is_relative_to(mount)
        if inside and len(Path(mount).parts) >= len(Path(found.mount).parts):
            found = FileSystem(kind, mount)
    return found


def creation_problems(folder: Path) -> list[str]:
    """Try what workers of several machines build on; empty where it holds.

    Parameters
    ----------
    folder : Path
        A new folder, in which something stays behind.
    """
    problems = []
    claim = folder / "claim"
    os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        problems.append("a file can be made twice (O_EXCL does not hold)")
    except FileExistsError:
        pass
    whole, other = folder / "whole", folder / "other"
    whole.mkdir()
    (whole / "file").touch()
    other.mkdir()
    try:
        os.rename(other, whole)
        problems.append("a folder can be renamed over another one that has files")
    except OSError:
        pass
    return problems


def lock_problems(folder: Path) -> list[str]:
    """Try the locks that the queue of jobs builds on; empty where they hold on this machine.

    Parameters
    ----------
    folder : Path
        A new folder, in which something stays behind.
    """
    import fcntl

    path = folder / "lock"
    with open(path, "wb") as first, open(path, "wb") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return [f"files cannot be locked ({error})"]
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
    return ["a file can be locked twice"]
