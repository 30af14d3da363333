"""Model names for menus and figures: short, and different where the models are."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

_UNTRAINED = re.compile(r"untrained:(?P<name>.+?)@(?P<seed>\d+)(?P<rest>.*)")
_JOINT = " · "


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Shorten model names as far as they stay different from each other.

    Parameters
    ----------
    names : iterable of str
        As the menus of the address have them: a hub id, the name of a folder, an acoustic space or
        ``untrained:NAME@SEED``, followed by the kind of features and a key where they tell
        results apart.

    Returns
    -------
    dict of str to str
        For every name one without its organisation and without what all results of that model
        share; "untrained" stands behind the name. Names that would become equal stay long.
    """
    every = list(dict.fromkeys(names))
    stems = {name: name.split(_JOINT) for name in every}
    alone = Counter(parts[0] for parts in stems.values())
    short = {name: _short(stems[name], every, is_alone=alone[stems[name][0]] < 2) for name in every}
    counts = Counter(short.values())
    return {name: one if counts[one] < 2 else name for name, one in short.items()}


def _short(parts: Sequence[str], every: Sequence[str], *, is_alone: bool) -> str:
    name, further = parts[0], list(parts[1:])
    found = _UNTRAINED.fullmatch(name)
    if found:
        name = found["name"]
        of_seeds = [one for one in every if one.startswith(f"untrained:{name}@")]
        seed = f" {found['seed']}" if len(of_seeds) > 1 else ""
        further = [f"untrained{seed}", *([] if is_alone else further)]
    elif is_alone:
        further = []
    return _JOINT.join([name.rstrip("/").rpartition("/")[2] or name, *further])
