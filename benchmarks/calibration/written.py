"""Rates with their standard errors, and the tables of pages that are made of measured numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCIENCE = DOCS / "science.md"


@dataclass(frozen=True)
class Rate:
    """How often something was so, of many simulated cases.

    Attributes
    ----------
    what : str
        What was counted, and in which cases.
    count, n : int
        How often, and of how many.
    band : tuple of two floats
        Where the true rate is meant to lie.
    """

    what: str
    count: int
    n: int
    band: tuple[float, float]

    @property
    def rate(self) -> float:
        """The share."""
        return self.count / self.n

    @property
    def error(self) -> float:
        """Its standard error; of none or all, that of one case more or fewer."""
        near = (self.count + 1) / (self.n + 2)
        return float((near * (1 - near) / self.n) ** 0.5)

    def outside(self, errors: float = 0.0) -> bool:
        """Say whether the rate lies outside its band by more than so many standard errors."""
        low, high = self.band
        return not low - errors * self.error <= self.rate <= high + errors * self.error


def lines_of(rates: Sequence[Rate]) -> list[str]:
    """Return a table as Markdown."""
    head = ["| measured | rate ± standard error | goal |", "| --- | --- | --- |"]
    return head + [
        f"| {one.what} | {one.rate:.3f} ± {one.error:.3f} | {one.band[0]:g} to {one.band[1]:g} |"
        for one in rates
    ]


def report(name: str, rates: Sequence[Rate], *, write: bool) -> int:
    """Print rates; on request put them into the page Science, between the marks of ``name``.

    Returns
    -------
    int
        How many are outside their band by more than four standard errors.
    """
    lines = lines_of(rates)
    print("\n".join(lines))
    if write:
        replaced(name, lines)
    return sum(one.outside(4) for one in rates)


def replaced(name: str, lines: Sequence[str], page: Path = SCIENCE) -> None:
    """Put lines into a page, between the marks of ``name``."""
    start, stop = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(start)
    after = rest.split(stop)[1]
    told = "\n".join([f"{before}{start}", "", *lines, "", f"{stop}{after}"])
    page.write_text(told, encoding="utf-8")
