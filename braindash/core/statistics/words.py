"""What an interval, p or q is, in one short form that captions, tables and files share.

Always in this order: the method, the units that it draws or compares with how many there are, and
for what it holds. A number whose three are not known is not shown.
"""


def interval_words(level: float, method: str, units: str, holds_for: str) -> str:
    """Say what intervals are.

    Parameters
    ----------
    level : float
        Share of the cases in which they are meant to hold the true value.
    method, units, holds_for : str
        How they are made; what is drawn or compared, and how many; what else the numbers may be
        expected in.
    """
    return f"{100 * level:g} % intervals: {method}; units: {units}; for {holds_for}"


def no_interval_words(reason: str, units: str) -> str:
    """Say why there are no intervals, and of how many units the numbers are."""
    return f"no intervals ({reason}); units: {units}"


def p_words(name: str, method: str, units: str, holds_for: str) -> str:
    """Say what p or q is; the parameters are those of :func:`interval_words`."""
    return f"{name}: {method}; units: {units}; for {holds_for}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Write a number of things, such as "1 subject" or "3 subjects"."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def family_words(n_tests: int, members: str) -> str:
    """Say over what p values are adjusted.

    Parameters
    ----------
    n_tests : int
        How many the family has.
    members : str
        What they are.
    """
    return f"adjusted p: Holm's, over {counted(n_tests, 'test')} ({members})"
