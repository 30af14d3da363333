"""The file of roles: who may see, and who may compute, of those who sign in to a dashboard.

::

    default = "viewer"        # who signs in and is not named below: none, viewer or runner
    not_signed_in = "none"    # who does not sign in: none or viewer

    [roles]
    "ada@lab.example" = "runner"
    "*@lab.example" = "viewer"
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from braindash.errors import InputError, near_match
from braindash.files import parse_toml
from braindash.names import given_path
from braindash.sharing.asking import ROLES, Role

DEFAULT, NOT_SIGNED_IN, TABLE = "default", "not_signed_in", "roles"
_FIELDS = (DEFAULT, NOT_SIGNED_IN, TABLE)
_ENTRY = re.compile(r"(\*|[^@\s*]+)@[^@\s*]+")
_EXAMPLE = '"ada@lab.example" = "runner"'


@dataclass(frozen=True)
class Roles:
    """What a file of roles says.

    Attributes
    ----------
    people : mapping of str to str
        Roles by e-mail, or by ``*@domain``; all in small letters.
    default : {"none", "viewer", "runner"}
        Of who signs in and is not named.
    not_signed_in : {"none", "viewer"}
        Of who does not sign in.
    """

    people: Mapping[str, Role] = field(default_factory=dict)
    default: Role = "none"
    not_signed_in: Role = "none"

    def of(self, email: str) -> Role:
        """Return the role of who signed in: by e-mail, else by its domain, else the default."""
        whole = email.strip().lower()
        domain = f"*@{whole.rpartition('@')[2]}"
        return self.people.get(whole) or self.people.get(domain) or self.default

    def count(self, role: Role) -> int:
        """Count the entries of a role."""
        return sum(one == role for one in self.people.values())


def read_roles(path: Path | str) -> Roles:
    """Read a file of roles, again when it was written since.

    Raises
    ------
    InputError
        When it cannot be read, or says something that no file of roles says.
    """
    place = given_path(path).resolve()
    try:
        status = place.stat()
    except OSError as error:
        raise InputError(
            f"the file of roles {place} cannot be read: {error.strerror}",
            hint=f"Give a TOML file with a table [{TABLE}] and lines such as {_EXAMPLE}.",
        ) from error
    return _read(place, (status.st_mtime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=4)
def _read(place: Path, stamp: tuple[int, ...]) -> Roles:
    try:
        content = parse_toml(place.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the file of roles {place} is no TOML file: {error}",
            hint=f"E-mails and roles stand in quotes: {_EXAMPLE}.",
        ) from error
    for name in content:
        if name not in _FIELDS:
            raise InputError(
                f"the file of roles {place} has an unknown entry {name!r}",
                hint=f"{near_match(name, _FIELDS)} People stand below [{TABLE}].",
            )
    people = _people(place, content.get(TABLE, {}))
    default = _role(place, DEFAULT, content.get(DEFAULT, "none"))
    without = _role(place, NOT_SIGNED_IN, content.get(NOT_SIGNED_IN, "none"))
    if without == "runner":
        raise InputError(
            f"the file of roles {place} lets everybody compute who does not even sign in",
            hint=f'{NOT_SIGNED_IN} is "none" or "viewer"; start without --roles to do without '
            "sign-in.",
        )
    if not people and default == "none":
        raise InputError(
            f"the file of roles {place} lets nobody sign in: it names no one, and {DEFAULT} is "
            '"none"',
            hint=f"Write people below [{TABLE}], such as {_EXAMPLE}, or another {DEFAULT}.",
        )
    return Roles(people, default, without)


def _people(place: Path, table: Any) -> dict[str, Role]:
    if not isinstance(table, dict):
        raise InputError(
            f"{TABLE} in the file of roles {place} is no table",
            hint=f"Write [{TABLE}] on a line of its own, and below it {_EXAMPLE}.",
        )
    people: dict[str, Role] = {}
    for email, role in table.items():
        name = email.strip().lower()
        if not _ENTRY.fullmatch(name):
            raise InputError(
                f"{email!r} in the file of roles {place} is neither an e-mail nor *@domain",
                hint=f"E-mails stand in quotes: {_EXAMPLE}.",
            )
        if name in people:
            raise InputError(
                f"{name!r} stands twice in the file of roles {place}",
                hint="Small and capital letters are the same in e-mails: leave one line.",
            )
        people[name] = _role(place, repr(email), role)
    return people


def _role(place: Path, whose: str, given: Any) -> Role:
    if not isinstance(given, str) or given not in ROLES:
        raise InputError(
            f"{given!r} is no role, of {whose} in the file of roles {place}",
            hint=near_match(str(given), ROLES),
        )
    return given
