"""What other packages bring along by entry points; a broken one is left out and told."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

logger = logging.getLogger(__name__)

ThingT = TypeVar("ThingT")


@dataclass(frozen=True)
class Plugins(Generic[ThingT]):
    """What the installed plugins of one group bring along.

    Attributes
    ----------
    found : mapping of str to object
        By name; each object's ``plugin`` is its distribution with the version.
    problems : mapping of str to str
        What is wrong with the others, by name.
    """

    found: Mapping[str, ThingT]
    problems: Mapping[str, str]


def plugin_points(group: str) -> list[EntryPoint]:
    """Find the entry points of a group, in an order that does not depend on their places."""
    return sorted(entry_points(group=group), key=lambda point: (point.name, _origin(point)))


def load_plugins(
    group: str,
    what: str,
    is_own: Callable[[str], bool],
    problem_of: Callable[[EntryPoint, Any], str],
) -> Plugins[Any]:
    """Import every plugin of a group.

    Parameters
    ----------
    group : str
        Group of the entry points, such as "braindash.spaces".
    what : str
        What one of them is called in messages.
    is_own : callable
        Says of a name whether braindash has such a thing itself.
    problem_of : callable
        Says why what an entry point gives cannot be used; empty where it can.

    Returns
    -------
    Plugins
        Of dataclass instances. What cannot be used is told in the log.
    """
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for point in plugin_points(group):
        taken = "braindash" if is_own(point.name) else None
        taken = found[point.name].plugin if point.name in found else taken
        try:
            one = point.load()
            problem = f"{taken} has a {what} of this name" if taken else problem_of(point, one)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the others go on without it
            problem = f"{type(error).__name__}: {error}"
        if problem:
            problem = f"{_origin(point)}, {point.value}: {problem}"
            logger.warning("the %s %r is left out: %s", what, point.name, problem)
            problems[point.name] = problem
        else:
            found[point.name] = replace(one, plugin=_origin(point))
    return Plugins(found, problems)


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
