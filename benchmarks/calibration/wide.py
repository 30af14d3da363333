"""Rates of many cases side by side: one row a case, one column for what was counted."""

from collections.abc import Sequence

from written import SCIENCE, Rate

# First words of what is counted; those of one family stand in one table.
_FAMILIES = (("true", "signal", "best", "least"), ("effects", "false"), ("equal",))


def wide_lines(rates: Sequence[Rate]) -> list[str]:
    """Return tables as Markdown; what a rate counts is told as "column: row"."""
    lines: list[str] = []
    for words in _FAMILIES:
        own = [one for one in rates if one.what.split()[0] in words]
        if not own:
            continue
        cells = {tuple(one.what.split(": ", 1)): one for one in own}
        columns = list(dict.fromkeys(column for column, _ in cells))
        rows = list(dict.fromkeys(row for _, row in cells))
        heads = [f"{column}{_goal(own, column)}" for column in columns]
        lines += [f"| case | {' | '.join(heads)} |", f"| --- |{' --- |' * len(columns)}"]
        for row in rows:
            told = [_cell(cells.get((column, row))) for column in columns]
            lines.append(f"| {row} | {' | '.join(told)} |")
        lines.append("")
    return lines[:-1]


def _goal(rates: Sequence[Rate], column: str) -> str:
    bands = {one.band for one in rates if one.what.startswith(f"{column}: ")}
    (band, *others) = bands
    return "" if others or band == (0.0, 1.0) else f" (goal {band[0]:g} to {band[1]:g})"


def _cell(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.rate:.4f} ± {rate.error:.4f}"


def report_wide(name: str, rates: Sequence[Rate], *, write: bool, above: Sequence[str] = ()) -> int:
    """Print tables; on request put them into the page Science, between the marks of ``name``.

    Returns
    -------
    int
        How many rates are outside their band by more than four standard errors.
    """
    lines = [*above, *([""] if above else []), *wide_lines(rates)]
    print("\n".join(lines))
    if write:
        start, stop = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
        before, rest = SCIENCE.read_text().split(start)
        after = rest.split(stop)[1]
        SCIENCE.write_text("\n".join([f"{before}{start}", "", *lines, "", f"{stop}{after}"]))
    out = [one.what for one in rates if one.outside(4)]
    print("\n".join(f"outside its band: {what}" for what in out))
    return len(out)
