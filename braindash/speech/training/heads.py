"""The heads of a tuned model, and their start: a linear probe of the base model, by ridge."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from braindash.specs import TuningHead
from braindash.speech.training.losses import column_correlation

# Per row, in units of the standardised features' variance.
PENALTIES = tuple(10.0 ** (power / 2) for power in range(-6, 5))
_LEAST_SCALE = 1e-6


class Head(nn.Module):
    """Linear map from a row's pooled features to targets, or to what stands before them.

    Features are first brought to the mean and the scale that those of the base model had (0 and 1
    unless :meth:`set_scale` says otherwise).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int, n_targets: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, n_targets)
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def forward(self, features: Tensor) -> Tensor:
        """Predict, (n_rows, n_targets) from (n_rows, n_features)."""
        predicted: Tensor = self.linear((features - self.mean) / self.scale)
        return predicted

    def set_scale(self, mean: Tensor, scale: Tensor) -> None:
        """Fix the standardisation of the features, both (n_features,)."""
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def set_weights(self, weight: Tensor, bias: Tensor | float = 0.0) -> None:
        """Fix the map, (n_targets, n_features) and (n_targets,)."""
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(torch.as_tensor(bias, device=weight.device).expand(len(weight)))


class Heads(nn.Module):
    """What makes a subject's predictions of a row's pooled features.

    Parameters
    ----------
    n_features : int
    n_targets : mapping of str to int
        By subject; of a shared head the same for all.
    kind : {"subject", "shared", "bottleneck"}, default "subject"
        One head for each subject, one for all, or one linear map to few values and a head for each
        subject behind it.
    bottleneck : int, default 100
        Of that map.
    n_clusters : int, default 0
        Of the sound, which a head of single frames tells; 0: there is none.

    Attributes
    ----------
    subjects : tuple of str
    bottleneck : Head or None
    clusters : nn.Linear or None
    """

    def __init__(
        self,
        n_features: int,
        n_targets: Mapping[str, int],
        kind: TuningHead = "subject",
        bottleneck: int = 100,
        n_clusters: int = 0,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.subjects = tuple(n_targets)
        self.bottleneck = Head(n_features, bottleneck) if kind == "bottleneck" else None
        width = bottleneck if kind == "bottleneck" else n_features
        counts = list(n_targets.values())
        # Subjects' ids may hold dots, which names of modules may not.
        for number, count in enumerate(counts[:1] if kind == "shared" else counts):
            self.add_module(str(number), Head(width, count))
        self.clusters = nn.Linear(n_features, n_clusters) if n_clusters else None

    def of(self, subject: str) -> Head:
        """Return the last map of a subject."""
        number = 0 if self.kind == "shared" else self.subjects.index(subject)
        head = self.get_submodule(str(number))
        assert isinstance(head, Head)  # for the type checker
        return head

    def forward(self, features: Tensor, subject: str) -> Tensor:
        """Predict a subject's rows, (n_rows, n_targets) from (n_rows, n_features)."""
        if self.bottleneck is not None:
            features = self.bottleneck(features)
        predicted: Tensor = self.of(subject)(features)
        return predicted


Rows = tuple[Tensor, Tensor]
"""Features (n_rows, n_features) and responses (n_rows, n_targets) of a subject."""


def start_heads(heads: Heads, rows: Callable[[str], tuple[Rows, Rows]]) -> dict[str, float]:
    """Set heads to the ridge solution of the base model's features; give the penalties.

    A shared head learns from all subjects' rows, one below the other. A bottleneck and its heads
    are together the map of its rank whose predictions are nearest to those of every subject's own
    solution, on these rows.

    Parameters
    ----------
    heads : Heads
        Changed in place.
    rows : callable
        Gives a subject's rows of training and of validation.

    Returns
    -------
    dict of str to float
        By subject.
    """
    groups = [heads.subjects] if heads.kind == "shared" else [(one,) for one in heads.subjects]
    if heads.bottleneck is not None:
        return _start_bottleneck(heads, heads.bottleneck, rows)
    penalties: dict[str, float] = {}
    for members in groups:
        train, validation = zip(*(rows(one) for one in members), strict=True)
        (x, y), (held, wanted) = _joined(train), _joined(validation)
        mean, scale = probe_scale(x)
        weight, bias, penalty = ridge_head((x - mean) / scale, y, ((held - mean) / scale, wanted))
        penalties |= dict.fromkeys(members, penalty)
        with torch.no_grad():
            heads.of(members[0]).set_scale(mean, scale)
            heads.of(members[0]).set_weights(weight, bias)
    return penalties


def _joined(parts: Sequence[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def _start_bottleneck(
    heads: Heads, bottleneck: Head, rows: Callable[[str], tuple[Rows, Rows]]
) -> dict[str, float]:
    """Factor the subjects' own solutions; all their features pass through one map."""
    pooled = torch.cat([rows(one)[0][0] for one in heads.subjects])
    mean, scale = probe_scale(pooled)
    penalties, weights, biases = {}, [], []
    for subject in heads.subjects:
        (x, y), (held, wanted) = rows(subject)
        x, held = (x - mean) / scale, (held - mean) / scale
        own = x.mean(dim=0)  # what is standardised are all subjects' features together
        weight, bias, penalties[subject] = ridge_head(x - own, y, (held - own, wanted))
        weights.append(weight)
        biases.append(bias - weight @ own)
    width = bottleneck.linear.out_features
    after, before = low_rank(torch.cat(weights), (pooled - mean) / scale, width)
    with torch.no_grad():
        bottleneck.set_scale(mean, scale)
        # Values beyond the rank of the solution begin as drawn, and nothing listens to them yet.
        bottleneck.linear.weight[: len(before)].copy_(before)
        bottleneck.linear.bias.zero_()
        parts = torch.split(after, [len(weight) for weight in weights])
        for subject, part, bias in zip(heads.subjects, parts, biases, strict=True):
            behind = torch.zeros(len(part), width, device=part.device)
            behind[:, : len(before)] = part
            heads.of(subject).set_weights(behind, bias)
    return penalties


def low_rank(weights: Tensor, features: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factor a linear map so that its predictions change least (reduced-rank regression).

    With ``F = X W'`` the predictions and Q the first right singular vectors of F, ``Q Q' W`` is
    the map of this rank with the nearest predictions (Izenman 1975). What stands between the two
    factors has unit variance on these rows.

    Parameters
    ----------
    weights : Tensor of shape (n_targets, n_features)
    features : Tensor of shape (n_rows, n_features)
    rank : int
        At most; fewer where the predictions have fewer dimensions.

    Returns
    -------
    after : Tensor of shape (n_targets, n), float32
    before : Tensor of shape (n, n_features), float32
    """
    x, w = features.double(), weights.double()
    values, vectors = torch.linalg.eigh(x.T @ x)
    root = w @ (vectors * values.clamp(min=0).sqrt())  # F'F = root root'
    squares, right = torch.linalg.eigh(root.T @ root)
    order = squares.argsort(descending=True)[: min(rank, len(w))]
    order = order[squares[order] > _LEAST_SCALE**2 * squares.max()]
    size = squares[order].sqrt()
    after = root @ right[:, order] / size
    before = after.T @ w
    # Eigenvectors have no sign of their own: the largest weight of each value is positive.
    sign = before.gather(1, before.abs().argmax(dim=1, keepdim=True)).sign()
    after, before = after * sign.T, before * sign
    size = size / len(x) ** 0.5
    return (after * size).float(), (before / size[:, None]).float()


def probe_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature, both (n_features,) in float32.

    Parameters
    ----------
    features : Tensor of shape (n_rows, n_features)
    """
    values = features.double()
    scale = values.std(dim=0, unbiased=False)
    # A feature that does not vary keeps its scale: dividing by rounding would make it noise.
    scale = torch.where(scale > _LEAST_SCALE * scale.max(), scale, torch.ones_like(scale))
    return values.mean(dim=0).float(), scale.float()


def ridge_head(
    features: Tensor, responses: Tensor, check: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, float]:
    """Fit a head, ``W = (X'X + n penalty I)^-1 X'(Y - mean Y)``, the best penalty on other rows.

    Parameters
    ----------
    features : Tensor of shape (n_rows, n_features)
        Standardised.
    responses : Tensor of shape (n_rows, n_targets)
    check : tuple of Tensor
        Features and responses of the validation rows; the penalty with the highest mean r there
        is taken.

    Returns
    -------
    weight : Tensor of shape (n_targets, n_features), float32
    bias : Tensor of shape (n_targets,), float32
    penalty : float
    """
    x = features.double()
    mean = responses.double().mean(dim=0)
    values, vectors = torch.linalg.eigh(x.T @ x)
    # Products with all targets in single precision: they are the ones that cost.
    projected = (vectors.T @ x.T).float() @ (responses - mean.float())
    rotated = (check[0].double() @ vectors).float()
    best: tuple[float, float] = (-float("inf"), PENALTIES[-1])
    for penalty in PENALTIES:
        shrunk = 1 / (values + penalty * len(x))
        prediction = (rotated * shrunk.float()) @ projected
        r = float(column_correlation(prediction, check[1]).mean())
        best = max(best, (r, penalty))
    shrunk = 1 / (values + best[1] * len(x))
    weight = (vectors * shrunk).float() @ projected
    bias = mean.float() - features.mean(dim=0) @ weight
    return weight.T.contiguous(), bias, best[1]
