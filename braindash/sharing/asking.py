"""Who asks, and what they may do: the one answer that queue, store and pages go by.

On the command line and in a notebook it is the account of the machine, which may do all that the
machine lets it. A dashboard says who its visitors are with :func:`ask_by`; from then on whatever
its pages call is asked for by the visitor of the page that runs.
"""

import getpass
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from braindash.errors import AccessError

Role = Literal["none", "viewer", "runner"]
ROLES: dict[Role, str] = {
    "none": "sees nothing",
    "viewer": "sees every result and takes it away; starts, stops and writes nothing",
    "runner": "also starts, stops and continues work, and names files of this machine",
}
"""Each role includes those before it."""


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks for something.

    Attributes
    ----------
    name : str
        E-mail of who signed in, or the machine's account; empty where nobody knows.
    role : {"none", "viewer", "runner"}
        What they may do, see :data:`ROLES`.
    reason : str
        Why they may do no more; empty for a runner.
    """

    name: str = ""
    role: Role = "runner"
    reason: str = ""

    @property
    def may_see(self) -> bool:
        """Whether results are shown to them."""
        return self.role != "none"

    @property
    def may_compute(self) -> bool:
        """Whether they may start, stop and continue work, name files and write."""
        return self.role == "runner"


def account() -> str:
    """Return the name of the machine's account that runs this process; its number without one."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return f"uid {os.getuid()}"


def _nobody_else() -> Visitor:
    return Visitor(account())


_source: Callable[[], Visitor] = _nobody_else


def ask_by(source: Callable[[], Visitor]) -> None:
    """Say how it is found out who asks; a dashboard does, once, for its whole process.

    Parameters
    ----------
    source : callable
        Returns who asks in the thread that calls it.
    """
    global _source  # noqa: PLW0603 - one answer for all of a process, like its account
    _source = source


def present() -> Visitor:
    """Return who asks now."""
    return _source()


def require_runner(what: str) -> Visitor:
    """Return who asks now, if they may compute.

    Parameters
    ----------
    what : str
        What is asked for, as it follows "may not".

    Raises
    ------
    AccessError
        When they may not.
    """
    visitor = present()
    if not visitor.may_compute:
        raise AccessError(
            f"{visitor.name or 'a visitor'} may not {what} here: {visitor.reason}",
            hint="Look at what is there and take it away, or ask whoever runs this dashboard.",
        )
    return visitor
