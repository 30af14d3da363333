"""What an address opens to whom, said before anything listens there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from braindash.sharing.place import Place
from braindash.sharing.roles import Roles
from braindash.sharing.settings import Sharing

_RESTRICT = (
    "To restrict it: --read-only (nobody computes), --roles FILE (visitors sign in), or stay on "
    "127.0.0.1 and reach it with `ssh -L {port}:127.0.0.1:{port} THIS_MACHINE`."
)
_PLAIN = (
    "Over plain HTTP all of it can be read on the way, and browsers give no microphone and no "
    "sign-in: both need HTTPS (a proxy, with --url https://...) or localhost."
)


@dataclass(frozen=True)
class Exposed:
    """What a dashboard has to show and to run.

    Attributes
    ----------
    store : Path
        Root of its store.
    n_results : int
        Results in it.
    folders : sequence of Path
        Where files may be named.
    """

    store: Path
    n_results: int
    folders: Sequence[Path]


def exposure(place: Place, shared: Sharing, roles: Roles | None, exposed: Exposed) -> list[str]:
    """Say what a dashboard opens to others; nothing where it is this machine's own.

    Parameters
    ----------
    place : Place
        Where it will be found.
    shared : Sharing
        Who may do what.
    roles : Roles or None
        Who signs in, where somebody does.
    exposed : Exposed
        What there is.
    """
    if place.is_own and not place.url:
        return []
    return [
        f"{_who(place)} {_seen(shared, roles, exposed)}",
        _computed(shared, roles, exposed),
        *([_RESTRICT.format(port=place.port)] if shared.open_to_all else []),
        *([] if place.secure else [_PLAIN]),
    ]


def _who(place: Place) -> str:
    if place.is_own:
        return f"It will be found at {place.url}, through a proxy on this machine:"
    reached = (
        f"It will listen on {place.address}: whoever reaches port {place.port} of this machine"
    )
    return f"{reached}, past any proxy too," if place.url else reached


def _seen(shared: Sharing, roles: Roles | None, exposed: Exposed) -> str:
    what = (
        f"all {exposed.n_results} results in {exposed.store}, with names of models, subjects and "
        "places of files, and takes them away"
    )
    if roles is None or roles.not_signed_in == "viewer":
        return f"sees {what}."
    return f"sees a page to sign in; who signs in and has a role sees {what}."


def _computed(shared: Sharing, roles: Roles | None, exposed: Exposed) -> str:
    if shared.read_only:
        return "It is read-only: nobody starts or stops work, names files or writes."
    folders = ", ".join(map(str, exposed.folders))
    what = f"starts jobs on this machine and has files read below {folders} (BRAINDASH_ROOTS)"
    if roles is None:
        return f"WITHOUT SIGN-IN whoever reaches it {what}."
    count = roles.count("runner")
    others = " and everybody else who signs in" if roles.default == "runner" else ""
    return f"Runners ({count} named{others}): each {what}."
