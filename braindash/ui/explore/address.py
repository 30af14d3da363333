"""Numbers that a page reads from its address, which anybody may have typed."""

import re

import streamlit as st

# More digits name nothing here, and Python refuses to read thousands of them.
_WHOLE = re.compile(r"[0-9]{1,9}")


def whole_number(name: str) -> int | None:
    """Return the whole number that the address gives under a name.

    Parameters
    ----------
    name : str
        Of the parameter; of several of that name the last one counts.

    Returns
    -------
    int or None
        Not negative; None where the address has no such parameter, or where that is not written in
        plain digits (0 to 9, at most nine).
    """
    text = st.query_params.get(name, "")
    return int(text) if _WHOLE.fullmatch(text) else None


def layer(last: int) -> int:
    """Return the layer of the address, at most ``last``; ``last`` where it names none."""
    number = whole_number("layer")
    return last if number is None else min(number, last)


def target(n_targets: int) -> int | None:
    """Return the target of the address; None where it names none of the ``n_targets``."""
    number = whole_number("target")
    return number if number is not None and number < n_targets else None
