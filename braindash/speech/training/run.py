"""Tune a located model on stories, from opening it to the weights that are kept."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from braindash.errors import InputError
from braindash.files import digest_json
from braindash.progress import NoProgress, Progress, shared
from braindash.specs import TuningSettings
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.checkpoints.merging import lora_strengths
from braindash.speech.encoder.front import front_of
from braindash.speech.models import load_encoder
from braindash.speech.training.adapters import has_learned, prepare
from braindash.speech.training.epochs import KeptEpochs, TrainingState
from braindash.speech.training.front import make_inputs
from braindash.speech.training.loop import Material, Trainer
from braindash.speech.training.network import TuningNetwork
from braindash.speech.training.saving import check_base, save_tuned
from braindash.speech.training.stimulus import N_CLUSTERS, story_clusters
from braindash.speech.training.stories import (
    SegmentShape,
    TuningStory,
    check_stories,
    segment_shape,
)
from braindash.speech.training.team import Team

logger = logging.getLogger(__name__)

_FRONT_SHARE = 0.1
_SILENT = NoProgress()


@dataclass(frozen=True, eq=False)
class Tuned:
    """A model after tuning, in memory.

    Attributes
    ----------
    files : ModelFiles
        The base.
    settings : TuningSettings
    network : TuningNetwork
        With the weights of the epoch that is kept.
    wrapper : nn.Module
        The bare encoder, or peft's wrapper around it.
    state : TrainingState
        The epochs.
    kept_epoch : int
    kept_steps : int
        Steps of the optimiser up to it.
    stopped : str
        Why training ended before the last epoch; empty when it did not.
    team : Team
        The processes that trained it.
    """

    files: ModelFiles
    settings: TuningSettings
    network: TuningNetwork
    wrapper: nn.Module
    state: TrainingState
    kept_epoch: int
    kept_steps: int
    stopped: str
    team: Team

    @property
    def n_trained(self) -> int:
        """Number of trained weights of the encoder."""
        trained = self.network.trained().items()
        return sum(value.numel() for name, value in trained if not name.startswith("heads."))

    def strengths(self) -> dict[str, float]:
        """Norm of the adapters' ``lora_B`` by block; empty where the whole model is tuned."""
        parameters = self.wrapper.named_parameters()
        return lora_strengths({name: value.detach() for name, value in parameters})

    def learned(self) -> bool:
        """Say whether the weights of the kept epoch compute anything else than the base's."""
        return has_learned(self.wrapper, self.files)

    def outcome(self) -> dict[str, Any]:
        """Describe the training as JSON values, for the record."""
        start, kept = self.state.history[0], self.state.history[self.kept_epoch]
        return {
            "history": [record.as_dict() for record in self.state.history],
            "kept_epoch": self.kept_epoch,
            "stopped": self.stopped,
            "improved": kept.score > start.score,
            "n_trained": self.n_trained,
            "steps": {"trained": self.state.step, "kept": self.kept_steps},
            **({"lora_b": self.strengths()} if self.settings.adapter is not None else {}),
            **self.state.facts,
        }

    def save(
        self,
        out: Path,
        record: Mapping[str, Any],
        describe: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> ModelFiles:
        """Write the model with its record (:func:`braindash.speech.training.saving.save_tuned`).

        ``describe`` makes the model's card of the record.

        Raises
        ------
        InputError, ResourceError
        """
        adapter = self.settings.adapter is not None
        # The record's own fields come first in the file.
        content = dict(record) | self.outcome()
        return save_tuned(
            self.wrapper, self.files, out, content, adapter=adapter, describe=describe
        )


def tune_model(
    files: ModelFiles,
    train: Sequence[TuningStory],
    validation: Sequence[TuningStory],
    settings: TuningSettings,
    *,
    folder: Path,
    identity: str | None = None,
    device: str = "auto",
    n_at_once: int | None = None,
    progress: Progress = _SILENT,
    on_epoch: Callable[[TrainingState], None] | None = None,
    stimulus: bool = False,
) -> Tuned:
    """Teach a speech model to predict responses to stories.

    The audio of the last ``settings.window_trs`` TRs before a row, the mean over time of the
    encoder's last layer, and linear heads predict the row (arXiv 2410.09230). The
    front end stays frozen. Evaluation is in eval mode. From one seed, a CPU gives the same weights
    each time, also when the run was interrupted between two epochs.

    Parameters
    ----------
    files : ModelFiles
        The base.
    train, validation : sequence of TuningStory
        Stories to learn from, and stories whose validation r chooses the epoch that is kept. They
        must have no story in common.
    settings : TuningSettings
    folder : Path
        Keeps the epochs and what the front end makes of the stories; a run that finds its own
        epochs there goes on after the last one.
    identity : str, optional
        Names the run; by default made from base, settings and stories.
    device : str, default "auto"
        "auto", "cpu", "cuda" or "cuda:N".
    n_at_once : int, optional
        Segments in memory at once, see :class:`~braindash.speech.training.loop.Trainer`.
    progress : Progress
        Told of every batch; may stop the run.
    on_epoch : callable, optional
        Called with the state after every epoch.
    stimulus : bool, default False
        Foretell hidden frames of the sound, besides responses or, where the stories have none, in
        their place (:mod:`braindash.speech.training.stimulus`).

    Returns
    -------
    Tuned

    Raises
    ------
    InputError
        For stories or settings that cannot be used.
    TuningError
        When the loss is not finite in the first epoch. Later, the epochs before are the result,
        and ``stopped`` says where it happened.
    ResourceError
        When memory or disk is too small.
    """
    check_base(files, adapter=settings.adapter is not None)
    tr = check_stories([*train, *validation], settings)
    n_targets = _count_targets(train, validation)
    team = Team(device)
    _check_settings(settings, n_targets, team, stimulus)
    clusters = N_CLUSTERS if stimulus else 0
    network, wrapper = make_network(
        files, settings, n_targets, tr, team.device, n_clusters=clusters
    )
    identity = identity or _identity(files, train, validation, settings)
    materials = [
        _material(network, files, stories, settings, folder / name)
        for name, stories in (("train", train), ("validation", validation))
    ]
    checkpoints = KeptEpochs(folder / "epochs", identity)
    # One process computes what all of them read.
    preparing, training = shared(progress, (_FRONT_SHARE, 1 - _FRONT_SHARE))
    for first in (True, False):
        if team.is_first == first:
            for material, span in zip(materials, shared(preparing, [1.0] * 2), strict=True):
                material.inputs.prepare(span)
            if stimulus:
                materials = _with_clusters(materials, network, folder / "clusters", settings.seed)
        team.wait()
    trainer = Trainer(
        network,
        materials[0],
        materials[1],
        settings,
        team,
        checkpoints,
        n_at_once=n_at_once,
        on_epoch=on_epoch,
    )
    state = trainer.run(training)
    kept = trainer.kept(state)
    steps = trainer.steps_of(kept)
    return Tuned(files, settings, network, wrapper, state, kept, steps, trainer.stopped, team)


def _check_settings(
    settings: TuningSettings, n_targets: Mapping[str, int], team: Team, stimulus: bool
) -> None:
    """Refuse settings that do not go with the targets or the device, before any heavy work."""
    if not n_targets and not stimulus:
        raise InputError(
            "the stories have no responses to learn", hint="Give responses of a subject."
        )
    if settings.head == "shared" and len(set(n_targets.values())) > 1:
        raise InputError(
            f"a shared head predicts the same targets of all subjects, who have {dict(n_targets)}",
            hint="Give every subject the same targets, or heads of their own (head 'subject').",
        )
    if n_targets and settings.loss != "mse" and min(n_targets.values()) < 2:
        raise InputError(
            f"the loss {settings.loss!r} compares patterns over targets, but a subject has one",
            hint="Give more targets, or the loss 'mse'.",
        )
    if settings.precision == "bf16" and team.device.type == "cpu":
        raise InputError(
            "the precision 'bf16' was asked for on a CPU",
            hint="Use float32: on a CPU bf16 is slower.",
        )


def _count_targets(
    train: Sequence[TuningStory], validation: Sequence[TuningStory]
) -> dict[str, int]:
    """Count every subject's targets, and check that both sides have the same subjects."""
    common = {story.name for story in train} & {story.name for story in validation}
    if common:
        raise InputError(
            f"{', '.join(sorted(common))} would be trained on and validated on",
            hint="A story may do one of the two only.",
        )
    if not validation:
        raise InputError(
            "there is no story to validate on", hint="Keep a story out of the training stories."
        )
    sides = []
    for stories in (train, validation):
        found: dict[str, int] = {}
        for story in stories:
            for subject, values in story.responses.items():
                if found.setdefault(subject, values.shape[1]) != values.shape[1]:
                    raise InputError(
                        f"{subject!r} has {values.shape[1]} targets in {story.name!r} and "
                        f"{found[subject]} elsewhere",
                        hint="Give every story of a subject the same targets.",
                    )
        sides.append(found)
    if sides[0] != sides[1]:
        raise InputError(
            f"subjects and targets differ between training ({sides[0]}) and validation stories "
            f"({sides[1]})",
            hint="Every subject needs at least one story of both, with the same targets.",
        )
    return dict(sorted(sides[0].items()))


def make_network(
    files: ModelFiles,
    settings: TuningSettings,
    n_targets: Mapping[str, int],
    tr: float,
    device: torch.device,
    *,
    n_clusters: int = 0,
) -> tuple[TuningNetwork, nn.Module]:
    """Load the base, freeze and adapt it, and put heads on it.

    Parameters
    ----------
    files : ModelFiles
    settings : TuningSettings
    n_targets : mapping of str to int
        By subject.
    tr : float
        Seconds between two rows.
    device : torch.device
    n_clusters : int, default 0
        Of the sound, where hidden frames are foretold.

    Returns
    -------
    network : TuningNetwork
        On the device.
    wrapper : nn.Module
        The bare encoder, or peft's wrapper around it.
    """
    with torch.random.fork_rng(devices=[]):
        # Weights that a checkpoint lacks and heads are drawn from here.
        torch.manual_seed(settings.seed)
        encoder = load_encoder(files)
        shape = segment_shape(settings, tr, front_of(encoder).geometry)
        wrapper = prepare(
            encoder,
            files.family,
            settings.adapter,
            dropout=settings.dropout,
            seed=settings.seed,
        )
        network = TuningNetwork(
            encoder,
            n_targets,
            shape,
            mask_share=settings.mask_share,
            head=settings.head,
            bottleneck=settings.bottleneck,
            n_clusters=n_clusters,
        )
    return network.to(device), wrapper


def _material(
    network: TuningNetwork,
    files: ModelFiles,
    stories: Sequence[TuningStory],
    settings: TuningSettings,
    folder: Path,
) -> Material:
    inputs = make_inputs(
        network.encoder,
        stories,
        network.shape,
        folder,
        per_story=settings.front == "story",
        normalise=files.normalise,
    )
    return Material(stories, inputs)


def _with_clusters(
    materials: Sequence[Material], network: TuningNetwork, folder: Path, seed: int
) -> list[Material]:
    geometry = front_of(network.encoder).geometry
    stories = [material.stories for material in materials]
    found = story_clusters(stories[0], stories[1], geometry, folder, seed=seed)
    return [
        replace(material, clusters=clusters)
        for material, clusters in zip(materials, found, strict=True)
    ]


def _identity(
    files: ModelFiles,
    train: Sequence[TuningStory],
    validation: Sequence[TuningStory],
    settings: TuningSettings,
) -> str:
    def described(story: TuningStory) -> list[Any]:
        targets = {subject: list(values.shape) for subject, values in story.responses.items()}
        return [story.name, float(story.times[0]), len(story.times), targets]

    return digest_json(
        {
            "model": files.fingerprint,
            "settings": settings.canonical(),
            "stories": [[described(story) for story in side] for side in (train, validation)],
        }
    )


__all__ = ["SegmentShape", "Tuned", "TuningStory", "tune_model"]
