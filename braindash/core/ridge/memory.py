"""What a fit of ridge holds in memory, counted before it is made; imports no torch."""

from collections.abc import Sequence

# Operators of as many alphas are held at a time as fit into this.
OPERATOR_BYTES = 2 << 30
# A block of responses with what is made of it, and the sample of the search, may take so much, or
# this share of the operators: products with few columns are slow.
BLOCK_BYTES = {"cpu": 128 << 20, "cuda": 1 << 30}
BLOCK_SHARE = 8
# Matrices of float64 beside each other while the form is set up, the largest moment: of (row,
# column) and (column, column) in the primal form, of (row, row) in the dual one.
_PRIMAL_ROWS, _PRIMAL_COLUMNS, _DUAL_ROWS = 4, 2, 4
# The same while an operator is built, beside those that are held.
_PRIMAL_BUILDS, _DUAL_BUILDS = 2, 3
# Of a target and an alpha: gain and size in float64, the score in float32.
_SCORE_BYTES = 20


def cheaper_method(n_rows: int, n_inputs: int, n_folds: int, n_alphas: int) -> str:
    """Return the form of ridge that takes fewer operations, "primal" or "dual".

    Parameters
    ----------
    n_rows : int
        Training rows.
    n_inputs : int
        Delayed features.
    n_folds, n_alphas : int
        Of the cross-validation.
    """
    others = n_rows - n_rows / n_folds
    cheaper = n_inputs * (n_alphas + 1) < n_alphas * others
    return "primal" if cheaper and n_inputs <= n_rows else "dual"


def fit_bytes(
    fold_rows: Sequence[int],
    n_test: int,
    n_features: int,
    n_delays: int,
    n_targets: int,
    n_alphas: int,
) -> float:
    """Estimate the most memory that a fit takes at a time on a CPU, without the responses.

    Features are counted as given and in float64, the form at the largest of its moments, operators
    of all alphas as far as they are held at a time, a block of targets, all scores and the
    prediction.

    Parameters
    ----------
    fold_rows : sequence of int
        Rows of each fold; together the training rows.
    n_test : int
        Rows to predict.
    n_features, n_delays : int
        Features, and how many delays each is taken at.
    n_targets, n_alphas : int
        Targets and penalties.

    Returns
    -------
    float
        Bytes.
    """
    n_rows, n_inputs = sum(fold_rows), n_features * n_delays
    method = cheaper_method(n_rows, n_inputs, len(fold_rows), n_alphas)
    if method == "primal":
        width = n_inputs
        kept = 12.0 * n_rows * n_inputs + 8.0 * n_inputs**2
        set_up = 8.0 * (_PRIMAL_ROWS * n_rows * n_inputs + _PRIMAL_COLUMNS * n_inputs**2)
        building = kept + _PRIMAL_BUILDS * 8.0 * n_inputs**2
        operator = 4.0 * n_rows * n_inputs
        side = 8.0 * (len(fold_rows) + 1) * n_inputs
    else:
        width = n_rows
        set_up = 8.0 * _DUAL_ROWS * n_rows**2
        building = 8.0 * _DUAL_BUILDS * n_rows**2
        operator = 4.0 * sum(own * (n_rows - own) for own in fold_rows)
        side = 4.0 * n_rows
    held = min(n_alphas, max(1, OPERATOR_BYTES // max(1, int(operator))))
    # Operators for new rows, of every alpha, and the rows in the coordinates of the form.
    new = (4.0 * n_alphas + 16.0) * n_test * width
    # A block of targets: as read, as prepared, and what the operators are applied to.
    most = max(BLOCK_BYTES["cpu"], held * operator / BLOCK_SHARE)
    block = min(
        n_targets * (8.0 * n_rows + side), 4.0 * n_rows / (4.0 * n_rows + side) * most + most
    )
    outcome = float(n_targets) * (_SCORE_BYTES * n_alphas + 4 * n_test)
    features = 12.0 * (n_rows + n_test) * n_features
    return features + max(set_up, building + held * operator + new + block + outcome)


# Targets whose weights are made at a time, at least and at most.
_WEIGHT_COLUMNS = 64, 1024
READ_COLUMNS = 4096
"""Targets whose responses are read at a time, for weights."""
# Of a value of the features in float64: as delayed, centred, and as both forms hold them.
_WEIGHT_COPIES = 3


def weights_columns(n_rows: int, n_features: int, n_delays: int) -> int:
    """Return for how many targets weights are made at a time."""
    fewest, most = _WEIGHT_COLUMNS
    one = _weights_of_target(n_rows, n_features * n_delays)
    return int(min(most, max(fewest, BLOCK_BYTES["cpu"] // one)))


def weights_bytes(
    n_rows: int, n_test: int, n_features: int, n_delays: int, n_targets: int
) -> float:
    """Estimate the most memory that making weights takes at a time, without the responses.

    Parameters
    ----------
    n_rows, n_test : int
        Training rows, and rows that are predicted to see what single precision changes.
    n_features, n_delays : int
        Features, and how many delays each is taken at.
    n_targets : int
        Targets.

    Returns
    -------
    float
        Bytes.
    """
    n_inputs = n_features * n_delays
    least = min(n_rows, n_inputs)
    decomposed = 8.0 * (_WEIGHT_COPIES * n_rows * n_inputs + _WEIGHT_COPIES * least**2)
    columns = min(n_targets, weights_columns(n_rows, n_features, n_delays))
    block = columns * (_weights_of_target(n_rows, n_inputs) + 16.0 * n_test)
    # Responses of a strip of targets, and its weights in half precision, in pieces and joined.
    strip = (4.0 * n_rows + 4.0 * n_inputs) * min(n_targets, READ_COLUMNS)
    return decomposed + 8.0 * n_test * n_inputs + block + strip


def weights_operations(n_rows: int, n_features: int, n_delays: int, n_targets: int) -> float:
    """Count the floating-point operations of one layer's weights."""
    n_inputs = n_features * n_delays
    least = min(n_rows, n_inputs)
    decomposed = 2.0 * n_rows * n_inputs * least + 10.0 * float(least) ** 3
    return decomposed + 2.0 * n_targets * least * (n_rows + n_inputs)


def _weights_of_target(n_rows: int, n_inputs: int) -> int:
    """Bytes of one target while its weights are made."""
    return 12 * n_rows + 8 * min(n_rows, n_inputs) + 16 * n_inputs
