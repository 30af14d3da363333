"""The training itself: epochs over segments, gradients, early stop."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from braindash.errors import ResourceError, TuningError, is_out_of_memory
from braindash.progress import Progress, shared
from braindash.specs import TuningSettings
from braindash.speech.encoder.front import front_of
from braindash.speech.geometry import CPU_FRAMES
from braindash.speech.training import stimulus
from braindash.speech.training.epochs import (
    EpochRecord,
    KeptEpochs,
    TrainingState,
    flat_optimiser,
    restore_optimiser,
)
from braindash.speech.training.evaluation import (
    every_segment,
    pooled_features,
    subject_rows,
    validation_r,
)
from braindash.speech.training.front import Inputs
from braindash.speech.training.heads import Rows, start_heads
from braindash.speech.training.losses import LOSSES
from braindash.speech.training.network import TuningNetwork, responses_of
from braindash.speech.training.stories import Segment, TuningStory, epoch_batches
from braindash.speech.training.team import Team

logger = logging.getLogger(__name__)

_PROBE_SHARE = 0.03
_FORETOLD_AT_ONCE = 4


class Diverged(Exception):
    """The loss is no number any more; raised and caught inside the trainer."""


@dataclass(frozen=True)
class Material:
    """Training or validation stories, and how their segments become inputs.

    ``clusters`` are those of each story's frames, where hidden frames are foretold.
    """

    stories: Sequence[TuningStory]
    inputs: Inputs
    clusters: Sequence[stimulus.Labels] | None = None


class Trainer:
    """Trains a network on stories.

    Parameters
    ----------
    network : TuningNetwork
        On its device.
    train, validation : Material
    settings : TuningSettings
    team : Team
    checkpoints : KeptEpochs
    n_at_once : int, optional
        Segments in memory at once; halved when memory runs out. All of a process's share by
        default, on a CPU fewer. Changes nothing but rounding and the draws of dropout.
    on_epoch : callable, optional
        Called with the state after every epoch.

    Attributes
    ----------
    n_at_once : int
    stopped : str
        Why training ended before the last epoch; empty when it did not.
    """

    def __init__(
        self,
        network: TuningNetwork,
        train: Material,
        validation: Material,
        settings: TuningSettings,
        team: Team,
        checkpoints: KeptEpochs,
        *,
        n_at_once: int | None = None,
        on_epoch: Callable[[TrainingState], None] | None = None,
    ) -> None:
        self.network, self.settings, self.team = network, settings, team
        self.stopped = ""
        self._train, self._validation = train, validation
        self._checkpoints = checkpoints
        self._on_epoch = on_epoch or (lambda state: None)
        on_cpu = team.device.type == "cpu"
        usual = max(1, CPU_FRAMES // network.shape.n_frames) if on_cpu else settings.batch_rows
        self.n_at_once = n_at_once or usual
        self._trained = network.trained()
        self._optimiser = _optimiser(network, settings)
        self._n_batches = len(epoch_batches(train.stories, settings, 1))
        self._hop = front_of(network.encoder).geometry.hop
        self._n_steps = settings.steps or settings.epochs * self._n_batches
        self._n_epochs = math.ceil(self._n_steps / self._n_batches)
        self._checks = every_segment(validation.stories, settings)
        mixed = settings.precision == "bf16"
        self._autocast = torch.autocast(team.device.type, torch.bfloat16, enabled=mixed)

    def run(self, progress: Progress) -> TrainingState:
        """Train from the last epoch kept, or from the start, to the end.

        Returns
        -------
        TrainingState
            The network holds the weights of the epoch that is to be kept.

        Raises
        ------
        TuningError
            When the loss is not finite before a single epoch is finished.
        ResourceError
            When a single segment does not fit into memory, or the disk is full.
        Cancelled
            When ``progress`` says so; finished epochs stay.
        """
        starting, span = shared(progress, (_PROBE_SHARE, 1 - _PROBE_SHARE))
        state = self._resumed() or self._started(starting)
        while state.epoch < self._n_epochs and not self._is_stale(state):
            try:
                self._run_epoch(state, span)
            except Diverged as error:
                self.stopped = str(error)
                logger.warning("%s", self.stopped)
                if state.epoch == 0:
                    raise TuningError(
                        f"{self.stopped}, before any epoch was finished",
                        hint="Give a lower encoder_rate and head_rate, and check the responses "
                        "for values far from 0.",
                    ) from error
                break
        self._restore(self.kept(state))
        return state

    def kept(self, state: TrainingState) -> int:
        """Say which epoch's weights are the result."""
        best = self.settings.keep == "best" and self.settings.steps is None
        return state.best.epoch if best else state.epoch

    def steps_of(self, epoch: int) -> int:
        """Say after how many steps of the optimiser an epoch ended."""
        return min(epoch * self._n_batches, self._n_steps)

    # ---- epochs ---------------------------------------------------------------------------

    def _started(self, progress: Progress) -> TrainingState:
        began = time.monotonic()
        progress.advance(0, 2, "scoring the base model")
        checks = self._checked()
        state = TrainingState()
        if self.settings.start == "probe" and checks is not None:
            progress.advance(1, 2, "linear probe of the base model")
            state.facts["penalties"] = self._start_heads(checks)
        if self.settings.steps is not None:
            state.facts["n_epochs"] = self._n_epochs
        scores = self._scores(checks)
        if not _all_finite(scores):
            raise TuningError(
                "the base model's predictions are not finite",
                hint="Check the model's weights and the responses.",
            )
        state.history.append(EpochRecord(0, None, scores, time.monotonic() - began))
        self._keep(state)
        return state

    def _start_heads(self, checks: Tensor) -> dict[str, float]:
        """Set every head to the ridge solution of the base model's features.

        These are features as training sees them, with its dropout: mean-pooled features hardly
        vary, and a head fitted without that noise could be so steep that the noise drowns all
        else in the first steps.
        """
        segments = every_segment(self._train.stories, self.settings)
        torch.manual_seed(_mixed_seed(self.settings.seed, 0, self.team.rank))
        features = self._features(self._train, segments, training=True)

        def rows(subject: str) -> tuple[Rows, Rows]:
            return (
                self._rows(self._train.stories, segments, features, subject),
                self._rows(self._validation.stories, self._checks, checks, subject),
            )

        return start_heads(self.network.heads, rows)

    def _run_epoch(self, state: TrainingState, progress: Progress) -> None:
        began = time.monotonic()
        epoch = state.epoch + 1
        total = self._n_steps
        # Dropout draws from here; every epoch anew, so that a resumed run draws the same.
        torch.manual_seed(_mixed_seed(self.settings.seed, epoch, self.team.rank))
        self.network.train()
        losses, n_rows, step = 0.0, 0, state.step
        batches = epoch_batches(self._train.stories, self.settings, epoch)
        for batch in batches[: total - step]:
            progress.advance(step, total, self._message(state, epoch))
            loss = self._step(batch, step, epoch, total)
            losses, n_rows, step = losses + loss * len(batch), n_rows + len(batch), step + 1
        scores = self._scores(self._checked())
        if not _all_finite(scores):
            raise Diverged(f"the predictions are not finite after epoch {epoch}")
        seconds = time.monotonic() - began
        state.step = step
        state.history.append(EpochRecord(epoch, losses / n_rows, scores, seconds))
        self._keep(state)
        progress.advance(step, total, self._message(state, epoch))

    def _message(self, state: TrainingState, epoch: int) -> str:
        last = state.history[-1]
        known = f"validation r {last.score:.4f}"
        if last.loss is not None:
            known = f"loss {last.loss:.4f}, {known}"
        return f"epoch {epoch} of {self._n_epochs}: {known} after epoch {last.epoch}"

    def _is_stale(self, state: TrainingState) -> bool:
        patience = self.settings.patience if self.settings.steps is None else None
        stale = patience is not None and state.epoch - state.best.epoch >= patience
        if stale:
            self.stopped = f"validation r has not risen for {patience} epochs"
        return stale

    # ---- one batch ------------------------------------------------------------------------

    def _step(self, batch: Sequence[Segment], step: int, epoch: int, total: int) -> float:
        loss = self._gradients(batch)
        gradients = [p.grad for p in self._trained.values() if p.grad is not None]
        self.team.add_up([*gradients, loss])
        norm = nn.utils.clip_grad_norm_(self._trained.values(), self.settings.clip_norm)
        if not (math.isfinite(float(loss)) and math.isfinite(float(norm))):
            names = sorted({self._train.stories[segment.story].name for segment in batch})
            what = "loss" if not math.isfinite(float(loss)) else "gradient"
            raise Diverged(
                f"the {what} is not finite in epoch {epoch}, step {step % self._n_batches + 1} of "
                f"{self._n_batches} (stories {', '.join(names)})"
            )
        factor = rate_factor(step, total, self.settings.warm_up)
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * factor
        self._optimiser.step()
        return float(loss)

    def _gradients(self, batch: Sequence[Segment]) -> Tensor:
        """Sum the gradients of a batch, part by part, and give this process's share of the loss."""
        own = batch[self.team.rank :: self.team.size]
        return self._fitting(lambda: self._accumulated(batch, own))

    def _fitting(self, work: Callable[[], Tensor]) -> Tensor:
        """Do work from its beginning, with fewer segments at once when memory runs out."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.n_at_once == 1:
                    raise ResourceError(
                        f"{self.team.device} has no memory for one segment of "
                        f"{self.network.shape.n_frames} frames",
                        hint="Give shorter segments (segment_trs, attention_trs), tune adapters "
                        "instead of the whole model, or use a larger machine.",
                    ) from error
                self.n_at_once //= 2
                logger.warning("out of memory: going on with %d segments at once", self.n_at_once)
                if self.team.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _accumulated(self, batch: Sequence[Segment], own: Sequence[Segment]) -> Tensor:
        for parameter in self._trained.values():
            # Zero, not None: every process adds up the same list.
            parameter.grad = torch.zeros_like(parameter)
        shares = self._shares(batch)
        total = torch.zeros((), device=self.team.device)
        for start in range(0, len(own), self.n_at_once):
            part = own[start : start + self.n_at_once]
            taken = self._train.inputs.take(part)
            if self.network.subjects:
                with self._autocast:
                    pooled = self.network(taken)
                total += _backward(self._loss(pooled, part, shares))
            if self._train.clusters is not None:
                foretold = self._foretold(self._train, part, taken)
                total += _backward(stimulus.hidden_loss(*foretold) / len(batch))
        return total

    def _foretold(
        self, material: Material, part: Sequence[Segment], taken: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tell hidden frames; gives logits, the true clusters, and which frames were hidden."""
        assert material.clusters is not None  # asked where there are some
        with self._autocast:
            logits, hidden = self.network.foretell(taken, stimulus.HIDDEN_SHARE)
        labels = stimulus.labels_of(part, material.clusters, self.network.shape, self._hop)
        return logits, labels.to(hidden.device), hidden

    def _shares(self, batch: Sequence[Segment]) -> dict[str, float]:
        """Return what one row of each subject counts in the batch's mean over rows and subjects."""
        stories, subjects = self._train.stories, self.network.subjects
        n_rows = self.network.shape.n_rows
        counts = {
            subject: sum(stories[one.story].has(subject, one.first, n_rows) for one in batch)
            for subject in subjects
        }
        present = sum(count > 0 for count in counts.values())
        return {
            subject: 1 / (count * n_rows * present) for subject, count in counts.items() if count
        }

    def _loss(self, pooled: Tensor, part: Sequence[Segment], shares: Mapping[str, float]) -> Tensor:
        loss, n_rows = pooled.sum() * 0.0, self.network.shape.n_rows
        for subject, share in shares.items():
            found = [
                at
                for at, segment in enumerate(part)
                if self._train.stories[segment.story].has(subject, segment.first, n_rows)
            ]
            if not found:
                continue
            rows = LOSSES[self.settings.loss](
                self._predicted(pooled[found], subject), self._responses(part, found, subject)
            )
            loss = loss + rows.sum() * share
        return loss

    def _predicted(self, pooled: Tensor, subject: str) -> Tensor:
        return self.network.predict(pooled, subject)

    def _responses(self, part: Sequence[Segment], found: Sequence[int], subject: str) -> Tensor:
        n_rows = self.network.shape.n_rows
        cut = [
            responses_of(
                self._train.stories[part[at].story].responses,
                [slice(part[at].first, part[at].first + n_rows)],
                subject,
                self.team.device,
            )
            for at in found
        ]
        return torch.cat(cut).flatten(0, 1)

    # ---- scores and checkpoints -----------------------------------------------------------

    def _features(
        self, material: Material, segments: Sequence[Segment], *, training: bool = False
    ) -> Tensor:
        def work() -> Tensor:
            return pooled_features(
                self.network,
                material.inputs,
                segments,
                self.team,
                self._autocast,
                at_once=self.n_at_once,
                training=training,
            )

        return self._fitting(work)

    def _checked(self) -> Tensor | None:
        """Encode the validation stories; None where no subject's responses are predicted."""
        if not self.network.subjects:
            return None
        return self._features(self._validation, self._checks)

    def _scores(self, features: Tensor | None) -> dict[str, float]:
        if features is not None:
            return validation_r(self.network, features, self._validation.stories, self._checks)
        return {stimulus.NAME: self._hidden_r()}

    def _hidden_r(self) -> float:
        """Tell hidden frames of the validation stories, the same ones every time."""
        # Always as many at once: what is hidden is drawn part by part.
        starts = range(0, len(self._checks), _FORETOLD_AT_ONCE)
        parts = [self._checks[start : start + _FORETOLD_AT_ONCE] for start in starts]

        def foretell(part: Sequence[Segment]) -> tuple[Tensor, Tensor, Tensor]:
            return self._foretold(self._validation, part, self._validation.inputs.take(part))

        self.network.eval()
        devices = [self.team.device] if self.team.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.settings.seed)
            return stimulus.hidden_r(parts, foretell)

    def _rows(
        self,
        stories: Sequence[TuningStory],
        segments: Sequence[Segment],
        features: Tensor,
        subject: str,
    ) -> tuple[Tensor, Tensor]:
        n_rows = self.network.shape.n_rows
        places, responses = subject_rows(stories, segments, subject, n_rows, features.device)
        return features[places].flatten(0, 1), responses

    def _keep(self, state: TrainingState) -> None:
        if self.team.is_first:
            optimiser = flat_optimiser(self._optimiser, self._trained)
            self._checkpoints.save(state, self._weights(), optimiser)
            self._on_epoch(state)
        self.team.wait()

    def _weights(self) -> dict[str, Tensor]:
        """Return what training changes or fixes: trained weights, and the heads' scales."""
        scales = {name: value for name, value in self.network.named_buffers() if "heads." in name}
        return {**self._trained, **scales}

    def _resumed(self) -> TrainingState | None:
        state = self._checkpoints.load()
        if state is None:
            return None
        self._restore(state.epoch)
        flat = self._checkpoints.optimiser(state.epoch)
        restore_optimiser(self._optimiser, self._trained, flat)
        self._on_epoch(state)
        return state

    def _restore(self, epoch: int) -> None:
        stored = self._checkpoints.weights(epoch)
        with torch.no_grad():
            for name, value in self._weights().items():
                value.copy_(stored[name])


def _backward(loss: Tensor) -> Tensor:
    """Add a loss's gradients up, and give its value."""
    loss.backward()  # type: ignore[no-untyped-call]  # torch's is not annotated
    return loss.detach()


def rate_factor(step: int, total: int, warm_up: float) -> float:
    """Return the learning rate of a step, of the highest: it rises linearly, then falls to 0."""
    warm = math.ceil(warm_up * total)
    if step < warm:
        return (step + 1) / warm
    return (total - step) / max(1, total - warm)


def _all_finite(scores: Mapping[str, float]) -> bool:
    return all(math.isfinite(score) for score in scores.values())


def _optimiser(network: TuningNetwork, settings: TuningSettings) -> torch.optim.AdamW:
    trained = network.trained()
    encoder = [p for name, p in trained.items() if not name.startswith("heads.")]
    heads = [p for name, p in trained.items() if name.startswith("heads.")]
    groups = [
        {
            "params": encoder,
            "highest": settings.encoder_rate,
            "weight_decay": settings.weight_decay,
        },
        # A head that decays would forget its start, the more the longer the training.
        {"params": heads, "highest": settings.head_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.encoder_rate)


def _mixed_seed(seed: int, epoch: int, rank: int) -> int:
    # Distinct for all epochs below 2^20 and processes below 2^10.
    return (seed << 30) + (epoch << 10) + rank
