"""The one look at every recording before a run: what cannot be used, and what is not plausible.

Planning counts what files hold (:func:`braindash.io.dataset.audio.find_recording`); here they are
decoded as well. All bad recordings are named at once. What was found good is kept beside the
results by the digest of the file, so that it is looked at once.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from braindash.errors import InputError
from braindash.files import parse_json
from braindash.io.dataset.audio import find_recording, look_at_sound
from braindash.process import usable_cores
from braindash.remembered.digests import digest_input
from braindash.requests import Request

logger = logging.getLogger(__name__)

FINDINGS_FILE = ".recordings.jsonl"
# Raised when more is looked for, or otherwise: what was found before counts no more.
_LOOK = 3
_NAMED = 20
_HINT = (
    "Put them right, or go on without them: --leave-out-bad (leave_out_bad=True) leaves them out "
    "and lists them in the result's provenance."
)


@dataclass(frozen=True)
class Fault:
    """Why a recording cannot be used.

    Attributes
    ----------
    name : str
        The story, or the recording's id.
    message, hint : str
        As of an error.
    """

    name: str
    message: str
    hint: str


class BadRecordings(InputError):
    """Recordings that cannot be used, all of them.

    Parameters
    ----------
    faults : iterable of Fault
        One per recording.
    others : mapping of str to Path
        The recordings beside them, of which it is only known how long they are.
    """

    def __init__(self, faults: Iterable[Fault], others: Mapping[str, Path]) -> None:
        self.faults = tuple(faults)
        self.others = dict(others)
        what = "recording" if len(self.faults) == 1 else "recordings"
        listed = _listed({one.name: f"{one.message}\n     {one.hint}" for one in self.faults})
        super().__init__(f"{len(self.faults)} {what} cannot be used:\n{listed}", hint=_HINT)


def _listed(reasons: Mapping[str, str]) -> str:
    """List recordings with their reasons, a line each; the names alone of those beyond many."""
    lines = [f"  {number}. {name}: {why}" for number, (name, why) in enumerate(reasons.items(), 1)][
        :_NAMED
    ]
    if len(reasons) > _NAMED:
        rest = ", ".join(list(reasons)[_NAMED:])
        lines.append(f"  and {len(reasons) - _NAMED} more: {rest}")
    return "\n".join(lines)


def require_countable(audio: Mapping[str, Path]) -> None:
    """Refuse recordings of which it cannot be said what they hold, all at once.

    Parameters
    ----------
    audio : mapping of str to Path
        Files by story or recording.

    Raises
    ------
    BadRecordings
    """
    faults = count_recordings(audio)
    if faults:
        bad = {one.name for one in faults}
        others = {name: path for name, path in audio.items() if name not in bad}
        raise BadRecordings(faults, others)


def count_recordings(audio: Mapping[str, Path]) -> list[Fault]:
    """Count what recordings hold, and name all of which it cannot be said.

    Parameters
    ----------
    audio : mapping of str to Path
        Files by story or recording.

    Returns
    -------
    list of Fault
    """
    faults = []
    for name, path in audio.items():
        try:
            find_recording(path)
        except InputError as error:
            faults.append(Fault(name, error.message, error.hint))
    return faults


class CheckedPlan(Protocol):
    """A checked request that names its recordings."""

    @property
    def request(self) -> Request:
        """What was asked for."""

    @property
    def recordings_used(self) -> Mapping[str, Path]:
        """Audio files by story or recording."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is unusual."""


RequestT = TypeVar("RequestT", bound=Request)
PlanT = TypeVar("PlanT", bound=CheckedPlan)


def plan_checked(plan: Callable[[RequestT], PlanT], request: RequestT, root: Path) -> PlanT:
    """Plan a run whose recordings can all be used.

    Parameters
    ----------
    plan : callable
        From a request to its plan; it raises :class:`BadRecordings` for those that it cannot count.
    request : Request
        With ``leave_out_bad`` bad recordings are left out; else they are refused.
    root : Path
        The store's folder, which keeps what was found.

    Returns
    -------
    Plan
        What is not plausible is among its warnings; what was left out stands in ``left_out`` of
        its request.

    Raises
    ------
    BadRecordings
        Names every bad recording, with its reason.
    InputError
        What is left does not do: names what was left out, with its reason.
    """
    left_out: dict[str, str] = dict(request.left_out)
    while True:
        wanted = request.model_copy(update={"left_out": dict(left_out)})
        try:
            planned = plan(wanted)
            faults, told = look_at_recordings(planned.recordings_used, root)
        except BadRecordings as error:
            faults, told = [*error.faults, *look_at_recordings(error.others, root)[0]], []
        except InputError as error:
            if not left_out:
                raise
            raise _too_few(error.message, error.hint, left_out) from error
        if not faults:
            break
        if not request.leave_out_bad:
            raise BadRecordings(faults, {})
        found = {one.name: one.message for one in faults}
        if found.keys() <= left_out.keys():  # a plan of none is asked for
            raise _too_few("no recording is left", "Put recordings right, or give others.", found)
        left_out |= found
    left = [f"left out: {name}: {why}" for name, why in left_out.items()]
    warnings = tuple(dict.fromkeys([*planned.warnings, *left, *told]))
    for text in warnings[len(planned.warnings) :]:
        logger.warning("%s", text)
    changed: Any = planned
    result: PlanT = replace(changed, warnings=warnings)
    return result


def _too_few(message: str, hint: str, left_out: Mapping[str, str]) -> InputError:
    what = (
        "recording that cannot be used was"
        if len(left_out) == 1
        else ("recordings that cannot be used were")
    )
    return InputError(
        f"{message}; {len(left_out)} {what} left out:\n{_listed(left_out)}", hint=hint
    )


def look_at_recordings(audio: Mapping[str, Path], root: Path) -> tuple[list[Fault], list[str]]:
    """Decode recordings that were not looked at before, side by side.

    Parameters
    ----------
    audio : mapping of str to Path
        Files by story or recording.
    root : Path
        The store's folder.

    Returns
    -------
    faults : list of Fault
        Of recordings that cannot be used.
    told : list of str
        What is not plausible; recordings of which the same is said are named together.
    """
    known = _read_findings(root / FINDINGS_FILE)
    faults: list[Fault] = []
    said: dict[str, list[str]] = {}

    def look(path: Path) -> tuple[str, tuple[str, ...] | InputError]:
        digest = digest_input(path)
        if digest in known:
            return digest, known[digest]
        try:
            return digest, look_at_sound(path)
        except InputError as error:
            return digest, error

    with ThreadPoolExecutor(usable_cores()) as pool:
        looked = list(pool.map(look, audio.values()))
    new = {}
    for name, (digest, found) in zip(audio, looked, strict=True):
        if isinstance(found, InputError):
            faults.append(Fault(name, found.message, found.hint))
            continue
        if digest not in known:
            new[digest] = found
        for text in found:
            said.setdefault(text, []).append(name)
    _keep_findings(root / FINDINGS_FILE, new)
    return faults, [_together(text, names, len(audio)) for text, names in said.items()]


def _together(text: str, names: list[str], n_all: int) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} of {n_all} recordings: {text} ({shown})"


def _read_findings(path: Path) -> dict[str, tuple[str, ...]]:
    """Read what was found before; lines that a killed process tore are passed over."""
    found = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                one = parse_json(line)
                if one["look"] == _LOOK:
                    found[str(one["audio"])] = tuple(map(str, one["told"]))
            except (ValueError, KeyError, TypeError):
                logger.debug("a line of %s cannot be read", path)
    return found


def _keep_findings(path: Path, found: Mapping[str, tuple[str, ...]]) -> None:
    lines = [
        json.dumps({"look": _LOOK, "audio": digest, "told": told}) + "\n"
        for digest, told in found.items()
    ]
    if not lines:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))
    except OSError as error:
        logger.info("what was found about recordings is not kept: %s", error)
