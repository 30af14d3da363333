"""Lines under figures: where the numbers come from, what is shown and what is masked."""

from braindash.comparison import Group


def provenance_line(group: Group, ceiling: str | None = None) -> str:
    """Say in one line where the numbers of a figure come from.

    Parameters
    ----------
    group : Group
        The results in the figure, of one subject or several.
    ceiling : str, optional
        The noise ceiling that is used; the default one when left out.

    Returns
    -------
    str
        Of several subjects only what they share; :func:`subject_lines` gives the rest.
    """
    first = group.first
    if group.n_subjects == 1:
        return first.provenance_line(ceiling)
    stamp = "SIMULATED DATA · " if group.simulated else ""
    test = ", ".join(story["name"] for story in first.spec["test"])
    delays = ", ".join(str(delay) for delay in first.spec["delays"])
    kind = ceiling or next(iter(group.ceiling_names), None)
    return (
        f"{stamp}{first.data} · {group.model} · mean of n = {group.n_subjects} subjects "
        f"({', '.join(group.subjects)}) · test: {test} from row {first.spec['score_from_row'][0]}"
        f" · features: {first.provenance['strategy']} · delays {delays} TR · "
        f"ceiling: {kind or 'none that all subjects have'} · n = {group.n_subjects} subjects"
    )


def subject_lines(group: Group, ceiling: str | None = None) -> list[str]:
    """Give the provenance line of every subject."""
    return [result.provenance_line(ceiling) for result in group.results]
