"""Lines under figures: where the numbers come from, what is shown, and how models are called."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from braindash.defaults import DEFAULT_DELAYS
from braindash.encoding.several.comparison import Group
from braindash.encoding.several.groups import ceilings_of, rows_of, settings_of
from braindash.requests import LOW_LEVEL_SPACE
from braindash.tuning.record import adapter_words, head_words, steps_words

_MOST_KEYS = 4
_UNTRAINED = re.compile(r"untrained:(?P<name>.+?)@(?P<seed>\d+)(?P<rest>.*)")
_JOINT = " · "
_TAGS = re.compile(r"<[^>]*>")
_MOST_NAMES = 10  # of curves, said of a figure


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
    # Who has fewer training stories may have other folds than the rest.
    fits = " or ".join(dict.fromkeys(result.fit_line() for result in group.results))
    kind = ceiling or next(iter(group.ceiling_names), None)
    regions = first.regions_line()
    return (
        f"{stamp}{first.data} · {group.model} · mean of n = {group.n_subjects} subjects "
        f"({', '.join(group.subjects)}) · test: {test} from row {first.spec['score_from_row'][0]}"
        f" · features: {first.features_line()} · {fits} · "
        f"ceiling: {kind or 'none that all subjects have'} · "
        f"{f'regions: {regions} · ' if regions else ''}n = {group.n_subjects} subjects"
    )


def short_line(group: Group) -> str:
    """Say in a few words where the numbers of a figure come from; the details stand elsewhere.

    Parameters
    ----------
    group : Group
        The results in the figure, of one subject or several.

    Returns
    -------
    str
        Data, model, subject, n and key.
    """
    stamp = "SIMULATED DATA · " if group.simulated else ""
    n, first = group.n_subjects, group.first
    who = f"mean of n = {n} subjects"
    if n == 1:
        count = f"mean of {len(first.members)} subjects" if first.members else "n = 1 subject"
        who = f"subject {first.subject} · {count}"
    return f"{stamp}{first.data} · {group.model} · {who} · {keys_line(group)}"


def full_name(group: Group) -> str:
    """Return a model's whole name, with how its features were made."""
    return f"{group.model}, features: {group.first.provenance['strategy']}"


def keys_line(group: Group) -> str:
    """Name the keys of a group's results."""
    keys = [result.key[:8] for result in group.results]
    if len(keys) > _MOST_KEYS:
        keys = [*keys[: _MOST_KEYS - 1], f"{len(keys) - _MOST_KEYS + 1} more"]
    return f"key{'s' * (len(keys) > 1)} {', '.join(keys)}"


def comparison_lines(
    groups: Sequence[Group], names: Sequence[str], ceilings: Sequence[str | None]
) -> list[str]:
    """Say where the numbers of several models come from; of the later ones what is their own.

    Parameters
    ----------
    groups : sequence of Group
        One per model.
    names : sequence of str
        What the figure calls them, such as "A: hubert".
    ceilings : sequence of (str or None)
        Noise ceiling of each.

    Returns
    -------
    list of str
        One line per model.
    """
    first = groups[0]
    lines = [f"{names[0].split(':')[0]}: {provenance_line(first, ceilings[0])}"]
    for group, name, ceiling in zip(groups[1:], names[1:], ceilings[1:], strict=True):
        if _common(group, ceiling) == _common(first, ceilings[0]):
            keys = ", ".join(result.key[:8] for result in group.results)
            lines.append(f"{name} · all else as A · key{'s' * (group.n_subjects > 1)} {keys}")
        else:
            lines.append(f"{name.split(':')[0]}: {provenance_line(group, ceiling)}")
    return lines


def _common(group: Group, ceiling: str | None) -> list[object]:
    """Return what a provenance line says beside the model and the key."""
    return [
        (settings_of(one), rows_of(one), ceilings_of(one), one.subject, one.simulated)
        for one in group.results
    ] + [ceiling, [one.provenance["versions"]["braindash"] for one in group.results]]


def subject_lines(group: Group, ceiling: str | None = None) -> list[str]:
    """Return the provenance line of every subject."""
    return [result.provenance_line(ceiling) for result in group.results]


def varied_words(spec: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """Say in which settings, that studies vary, an encoding result is not the usual one.

    Parameters
    ----------
    spec, provenance : mapping
        Of a stored result of any age.

    Returns
    -------
    str
        Such as "delays 3 TR, 4 s of context"; empty for a usual one.
    """
    told = []
    delays = tuple(spec.get("delays", DEFAULT_DELAYS))
    if delays != DEFAULT_DELAYS:
        told.append(f"{'delay' if len(delays) == 1 else 'delays'} {', '.join(map(str, delays))} TR")
    if (context := provenance.get("context_seconds")) is not None:
        told.append(f"{context:g} s of context")
    if (share := provenance.get("train_share")) is not None and share < 1:
        told.append(f"{share:.0%} of training, draw {provenance.get('train_draw', 0)}")
    space = (spec.get("low_level") or {}).get("space", LOW_LEVEL_SPACE)
    if space != LOW_LEVEL_SPACE:
        told.append(f"low level {space}")
    return ", ".join(told)


def tuning_line(record: Mapping[str, Any]) -> str:
    """Say in one line what a tuned model learnt from, and what chose its targets.

    Parameters
    ----------
    record : mapping
        Content of a model's ``tuning.json``.
    """
    spec, stories, history = record["spec"], record["stories"], record["history"]
    adapter = spec["settings"]["adapter"]
    method = "all weights" if adapter is None else f"adapters of rank {adapter['rank']}"
    targets = "; ".join(
        f"{subject}: {found['n_targets']} targets by {found['rule']}"
        for subject, found in record["targets"].items()
    )
    control = "" if spec["control"] == "none" else f"CONTROL ({spec['control']}) · "
    stopped = f" · {record['stopped']}" if record["stopped"] else ""
    better = "" if record["improved"] else " · no epoch was better than the start"
    told, strengths = steps_words(record), adapter_words(record)
    steps = f" ({told})" if told else ""
    adapters = f" · {strengths}" if strengths else ""
    return (
        f"{control}base {record['base']['name']} · {method} · {head_words(record)} · "
        f"loss {spec['settings']['loss']} · {targets} · trained on {len(stories['train'])} stories "
        f"({sum(stories['train'].values())} rows), validated on "
        f"{', '.join(stories['validation'])} · never trained on: "
        f"{', '.join(stories['never_trained_on'])} · epoch {record['kept_epoch']} of "
        f"{history[-1]['epoch']} kept{steps}{stopped}{better} · seed {spec['settings']['seed']}"
        f"{adapters}"
    )


def figure_words(figure: Any) -> str:
    """Say what a figure of plotly shows, for who hears a page.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Any of the views.

    Returns
    -------
    str
        Its title or its axes, and the names of its curves.
    """
    across, up = (_plain(axis.title.text) for axis in (figure.layout.xaxis, figure.layout.yaxis))
    axes = " by ".join(filter(None, [up, across]))
    head = _plain(figure.layout.title.text) or axes
    found = dict.fromkeys(_plain(trace.name) for trace in figure.data)
    names = [name for name in found if name]
    shown = ", ".join(names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{head}: {shown}{more}" if names else head


def _plain(text: str | None) -> str:
    return _TAGS.sub(" ", text or "").strip()


# ---- names of models -----------------------------------------------------------------------


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
