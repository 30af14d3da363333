"""How a dashboard is shared: what its command tells its server, through the environment.

So a server that is started in another way, such as by a container, takes the same settings.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from braindash.errors import InputError
from braindash.names import given_path

FOLDERS = "BRAINDASH_ROOTS"
READ_ONLY = "BRAINDASH_READ_ONLY"
ROLES_FILE = "BRAINDASH_ROLES"
_MEANINGS = {"": False, "0": False, "1": True}


@dataclass(frozen=True)
class Sharing:
    """How a dashboard is shared.

    Attributes
    ----------
    read_only : bool
        Whether everybody only explores, whatever their role.
    roles : Path or None
        The file of roles, with which visitors sign in; None: nobody does.
    """

    read_only: bool = False
    roles: Path | None = None

    @property
    def open_to_all(self) -> bool:
        """Whether everybody who reaches the dashboard may compute."""
        return not self.read_only and self.roles is None

    def environment(self) -> dict[str, str]:
        """Return what the server has to have in its environment; the opposite is said too."""
        return {READ_ONLY: str(int(self.read_only)), ROLES_FILE: str(self.roles or "")}


def sharing(environment: Mapping[str, str] = os.environ) -> Sharing:
    """Read how this dashboard is shared.

    Raises
    ------
    InputError
        When the environment says neither yes nor no.
    """
    told = environment.get(READ_ONLY, "").strip()
    if told not in _MEANINGS:
        raise InputError(
            f"{READ_ONLY} is {told!r}, which is neither yes nor no",
            hint=f"Set {READ_ONLY}=1 for a dashboard that is only looked at, or {READ_ONLY}=0.",
        )
    named = environment.get(ROLES_FILE, "").strip()
    return Sharing(_MEANINGS[told], given_path(named).resolve() if named else None)


def folders_to_name(store: Path) -> tuple[Path, ...]:
    """List the folders that a visitor may name files in.

    ``BRAINDASH_ROOTS`` (folders separated like PATH) when set; else the home folder, the folder
    the server was started in, and the store.
    """
    named = os.environ.get(FOLDERS)
    if named:
        places = [Path(part) for part in named.split(os.pathsep) if part]
    else:
        places = [Path.home(), Path.cwd(), store]
    return tuple(given_path(place).resolve() for place in places)
