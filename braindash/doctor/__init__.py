"""Whether braindash can work here: what is installed, what the machine has, a short encoding."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    name : str
        What was looked at.
    level : {"ok", "warn", "fail"}
        Fine; works, but not as it could; does not work.
    text : str
        What was found.
    todo : str
        What to do about it; empty where it is fine.
    """

    name: str
    level: Level
    text: str
    todo: str = ""

    def line(self) -> str:
        """Say it in words."""
        said = f"{self.level:<4}  {self.name}: {self.text}"
        return f"{said}\n      What to do: {self.todo}" if self.todo else said


def worst(findings: list[Finding]) -> Level:
    """Return the worst level of some findings."""
    return max((one.level for one in findings), key=LEVELS.index, default="ok")
