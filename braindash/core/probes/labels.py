"""What a probe is asked: labels of units, checked, and shuffled for comparison."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.probes.split import Split
from braindash.core.scores import constant_columns
from braindash.defaults import PARTS
from braindash.errors import InputError, near_match

KINDS = ("classification", "regression", "multilabel")
METHODS = ("ridge", "discriminant", "logistic")
CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
VALUE_METRICS = ("r2",)
SET_METRICS = ("macro_f1", "micro_f1")
_METRICS = dict(zip(KINDS, (CLASS_METRICS, VALUE_METRICS, SET_METRICS), strict=True))
# A shuffle is drawn again, up to so often, while more than this share of the units get the label
# of one that near.
_DRAWS, _NEAR_SHARE, _NEAR_UNITS = 20, 0.05, 25
_NAMED = 5

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ProbeTask:
    """One question to every layer.

    Parameters
    ----------
    name : str
        Name of the task.
    labels : array
        Classification: whole numbers or texts, shape (n_units,). Regression: numbers, shape
        (n_units,) or (n_units, n_outputs). Multilabel: texts, shape (n_units,), that hold the
        labels of a unit with blanks between.
    kind : {"classification", "regression", "multilabel"}, default "classification"
        What the labels are.
    metric : str, optional
        The score: "accuracy", "balanced_accuracy" or "macro_f1" of a classification, "r2"
        (variance-weighted) of a regression, "macro_f1" or "micro_f1" of sets; also chooses the
        penalty. None: "accuracy", with ``balanced`` "balanced_accuracy"; "r2"; "macro_f1".
    balanced : bool, default False
        Give every class the same weight, however many units it has; of sets units with a label
        and without it.
    method : {"ridge", "discriminant", "logistic"}, default "ridge"
        Of a classification: least squares on one-hot labels; linear discriminant analysis, as
        fast and better with many or unequal classes; or multinomial logistic regression, the
        slowest.
    """

    name: str
    labels: ArrayLike
    kind: str = "classification"
    metric: str | None = None
    balanced: bool = False
    method: str = "ridge"


@dataclass(frozen=True, eq=False)
class Coded:
    """Checked labels of a task.

    Attributes
    ----------
    task : ProbeTask
        Where they come from.
    metric : str
        Its score.
    classes : tuple of str or int
        Classes, or labels of sets, in sorted order; empty for a regression.
    labels : array
        Class numbers, int64 of shape (n_units,); values, float64 of shape (n_units, n_outputs); or
        which labels a unit has, bool of shape (n_units, n_labels).
    n_columns : int
        Number of classes, outputs or labels.
    warnings : tuple of str
        What a reader of the scores should know.
    """

    task: ProbeTask
    metric: str
    classes: tuple[Any, ...]
    labels: NDArray[Any]
    n_columns: int
    warnings: tuple[str, ...]

    @property
    def is_classes(self) -> bool:
        """Whether the task is a classification."""
        return self.task.kind == KINDS[0]

    @property
    def is_sets(self) -> bool:
        """Whether every unit has a set of labels."""
        return self.task.kind == KINDS[2]


def code_task(task: ProbeTask, split: Split) -> Coded:
    """Check the labels of a task against the split.

    Parameters
    ----------
    task : ProbeTask
        The task.
    split : Split
        Which units are on which side; labels of units on none are not looked at.

    Returns
    -------
    Coded

    Raises
    ------
    InputError
        For an unknown kind, metric or method; labels that do not fit the units; fewer than two
        classes, or a class with one unit; values that are missing or constant on one side.
    """
    _check_words(task)
    given = np.asarray(task.labels)
    n_units = len(split.recordings)
    if given.ndim < 1 or len(given) != n_units:
        raise InputError(
            f"{task.name}: there are {len(given) if given.ndim else 'no'} labels for {n_units} "
            "units",
            hint="Give one label per unit of the features, in the same order.",
        )
    if task.kind == "regression":
        return _code_values(task, given, split)
    if task.kind == "multilabel":
        return _code_sets(task, given, split)
    return _code_classes(task, given, split)


def shuffled_sources(split: Split, n_shuffles: int, seed: int) -> Codes:
    """Draw which unit's label each unit gets, within the train and within the validation part.

    The recordings of a part change places and their labels, still in sequence, are then moved on
    together by a random number of units: neighbours keep their likeness, no unit its label.

    Parameters
    ----------
    split : Split
        The sides.
    n_shuffles : int
        Number of shuffled runs.
    seed : int
        The same seed and split give the same shuffles.

    Returns
    -------
    array of int64, shape (1 + n_shuffles, n_train + n_validation)
        Index of a unit, for the units of train and then of validation; the first row is the order
        itself.
    """
    rng = np.random.default_rng(seed)
    rows = [np.concatenate([split.train, split.valid])]
    for _ in range(n_shuffles):
        parts = (split.train, split.valid)
        rows.append(np.concatenate([_moved(part, split.recordings[part], rng) for part in parts]))
    return np.stack(rows)


def _moved(units: Codes, recordings: Codes, rng: np.random.Generator) -> Codes:
    n_units = len(units)
    place = np.arange(n_units)
    near = min(_NEAR_UNITS, n_units // 8)
    best, least = place, np.inf
    for _ in range(_DRAWS):
        rank = rng.permutation(recordings.max() + 1)
        source = np.roll(np.argsort(rank[recordings], kind="stable"), rng.integers(n_units))
        share = (np.abs(source - place) <= near).mean()
        if share < least:
            best, least = source, share
        if share <= _NEAR_SHARE:
            break
    return np.asarray(units[best])


def _check_words(task: ProbeTask) -> None:
    for name, given, known in (("kind", task.kind, KINDS), ("method", task.method, METHODS)):
        if given not in known:
            raise InputError(
                f"{task.name}: unknown {name} {given!r}", hint=near_match(str(given), known)
            )
    allowed = _METRICS[task.kind]
    if task.metric is not None and task.metric not in allowed:
        raise InputError(
            f"{task.name}: {task.metric!r} is no metric of a {task.kind}",
            hint=near_match(task.metric, allowed),
        )
    if task.kind == "multilabel" and task.method != "ridge":
        raise InputError(
            f"{task.name}: ridge is the only method for sets of labels",
            hint="Leave method='ridge'.",
        )
    if task.kind == "regression" and (task.method != "ridge" or task.balanced):
        raise InputError(
            f"{task.name}: a regression has no classes, and ridge is its only method",
            hint="Leave method='ridge' and balanced=False.",
        )


def _code_classes(task: ProbeTask, given: NDArray[Any], split: Split) -> Coded:
    if given.dtype.kind == "O" and all(isinstance(label, str) for label in given.ravel()):
        given = given.astype(str)
    if given.ndim != 1 or given.dtype.kind not in "biuU":
        raise InputError(
            f"{task.name}: the labels have shape {given.shape} and type {given.dtype}",
            hint="Give one whole number or one text per unit; for numbers with a fraction use "
            "kind='regression'.",
        )
    sides = (split.train, split.valid, split.test)
    used = np.concatenate(sides)
    classes, found = np.unique(given[used], return_inverse=True)
    size = np.bincount(found)
    if len(classes) < 2:
        raise InputError(
            f"{task.name}: every unit is of class {_some(classes)}",
            hint="A probe needs two classes or more.",
        )
    if (size == 1).any():
        raise InputError(
            f"{task.name}: only one unit is of class {_some(classes[size == 1])}",
            hint="Leave such classes out, or join them with others.",
        )
    codes = np.full(len(given), -1, dtype=np.int64)
    codes[used] = found
    present = [np.bincount(codes[rows], minlength=len(classes)) > 0 for rows in sides]
    for name, there in zip(PARTS, present, strict=True):
        if there.sum() < 2 and name != "valid":
            raise InputError(
                f"{task.name}: the {name} part holds {_some(classes[there])} only",
                hint="Split with strata=the labels, with another seed, or give more recordings.",
            )
    warnings = []
    unlearnt = ~(present[0] | present[1])
    if unlearnt.any():
        warnings.append(f"{int(unlearnt.sum())} classes ({_some(classes[unlearnt])}) have no "
                        "training unit: their test units count as wrong")  # fmt: skip
    if not present[2].all():
        missing = classes[~present[2]]
        warnings.append(f"{len(missing)} classes ({_some(missing)}) have no test unit")
    metric = task.metric or CLASS_METRICS[int(task.balanced)]
    return Coded(task, metric, tuple(classes.tolist()), codes, len(classes), tuple(warnings))


def _code_values(task: ProbeTask, given: NDArray[Any], split: Split) -> Coded:
    table = given[:, None] if given.ndim == 1 else given
    if table.ndim != 2 or not table.shape[1] or table.dtype.kind not in "biuf":
        raise InputError(
            f"{task.name}: the labels have shape {given.shape} and type {given.dtype}",
            hint="Give numbers of shape (n_units, n_outputs); for texts use kind='classification'.",
        )
    values = table.astype(np.float64)
    for name, rows in zip(PARTS, (split.train, split.valid, split.test), strict=True):
        part = table[rows].astype(table.dtype if table.dtype.kind == "f" else np.float64)
        if not np.isfinite(part).all():
            unit = rows[np.flatnonzero(~np.isfinite(part).all(axis=1))[0]]
            raise InputError(
                f"{task.name}: unit {unit} has a missing or infinite value",
                hint="Leave such units out of the features and of the labels.",
            )
        constant = np.flatnonzero(constant_columns(part))
        if len(constant):
            raise InputError(
                f"{task.name}: output {constant[0]} is constant in the {name} part "
                f"({len(constant)} of {part.shape[1]} outputs are)",
                hint="Leave it out, or give more recordings: R^2 has no meaning there.",
            )
    return Coded(task, VALUE_METRICS[0], (), values, values.shape[1], ())


def _code_sets(task: ProbeTask, given: NDArray[Any], split: Split) -> Coded:
    if given.ndim != 1 or given.dtype.kind not in "OU":
        raise InputError(
            f"{task.name}: the labels have shape {given.shape} and type {given.dtype}",
            hint="Give one text per unit: its labels with blanks between.",
        )
    used = np.concatenate([split.train, split.valid, split.test])
    sets = [frozenset(str(text).split()) for text in given]
    names = np.array(sorted(set().union(*(sets[unit] for unit in used))), dtype=str)
    has = np.array([[name in one for name in names] for one in sets], dtype=bool)
    has = has.reshape(len(sets), len(names))
    share = has[split.train].mean(axis=0)
    learnt = (share > 0) & (share < 1)
    if not learnt.any():
        raise InputError(
            f"{task.name}: no label is in some of the training units and not in others",
            hint="Give shorter segments, or more recordings.",
        )
    warnings = []
    if not learnt.all():
        warnings.append(
            f"{int((~learnt).sum())} labels ({_some(names[~learnt])}) are in all training units "
            "or in none, and are left out"
        )
    names, has = names[learnt], has[:, learnt]
    metric = task.metric or SET_METRICS[0]
    return Coded(task, metric, tuple(names.tolist()), has, len(names), tuple(warnings))


def _some(classes: NDArray[Any]) -> str:
    shown = ", ".join(repr(name) for name in classes[:_NAMED].tolist())
    return shown + (", ..." if len(classes) > _NAMED else "")
