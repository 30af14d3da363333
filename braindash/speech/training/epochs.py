"""Every epoch is kept on disk, so that a killed run goes on where it was.

A folder per epoch: weights and the optimiser's state in safetensors, the rest in JSON with the
digests of both. It is written beside its place, flushed and renamed, and only then is the one
before removed: there is always a whole one. The best epoch so far stays too.
"""

import errno
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from braindash.errors import InputError, ResourceError
from braindash.files import digest_file, flush, hidden_beside, parse_json, write_json

logger = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"
OPTIMISER = "optimiser.safetensors"
STATE = "state.json"
_EPOCH = re.compile(r"epoch-(\d{4,})")
_OS_ERROR = re.compile(r"os error (\d+)")


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave; epoch 0 is the start, before any training.

    Attributes
    ----------
    epoch : int
    loss : float or None
        Mean training loss per row; None for epoch 0.
    validation_r : mapping of str to float
        By subject: mean over targets of Pearson's r on the validation stories.
    seconds : float
        Time the epoch took.
    """

    epoch: int
    loss: float | None
    validation_r: Mapping[str, float]
    seconds: float

    @property
    def score(self) -> float:
        """Validation r, averaged over subjects: what early stopping and the best epoch go by."""
        return sum(self.validation_r.values()) / len(self.validation_r)

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        return {
            "epoch": self.epoch,
            "loss": self.loss,
            "validation_r": dict(self.validation_r),
            "seconds": round(self.seconds, 3),
        }


@dataclass
class TrainingState:
    """Where a run is.

    Attributes
    ----------
    history : list of EpochRecord
        From epoch 0.
    step : int
        Steps of the optimiser so far.
    facts : dict
        Further things to remember, such as the penalties of the start.
    """

    history: list[EpochRecord] = field(default_factory=list)
    step: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Last finished epoch."""
        return self.history[-1].epoch

    @property
    def best(self) -> EpochRecord:
        """The trained epoch with the highest validation r; the start where none is there yet."""
        trained = self.history[1:] or self.history
        return max(trained, key=lambda record: record.score)


class KeptEpochs:
    """The kept epochs of one run.

    Parameters
    ----------
    folder : Path
        Of this run alone.
    identity : str
        Names the run; a folder of another run is refused.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self._identity = identity

    def save(
        self, state: TrainingState, weights: Mapping[str, Tensor], optimiser: Mapping[str, Tensor]
    ) -> None:
        """Keep an epoch, then remove those that are neither the last nor the best.

        Raises
        ------
        ResourceError
            When the disk is full; what was kept before stays.
        """
        target = self._place(state.epoch)
        partial = hidden_beside(target)
        try:
            partial.mkdir(parents=True)
            digests = {}
            for name, tensors in ((WEIGHTS, weights), (OPTIMISER, optimiser)):
                _write(partial / name, tensors)
                digests[name] = digest_file(partial / name)
            content = {
                "identity": self._identity,
                "step": state.step,
                "history": [record.as_dict() for record in state.history],
                "facts": state.facts,
                "digests": digests,
            }
            write_json(partial / STATE, content)
            flush(partial / STATE)
            flush(partial)
            os.rename(partial, target)
            flush(self.folder)
        except OSError as error:
            raise disk_problem(error, self.folder, state.epoch) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        for epoch, place in self._epochs():
            if epoch not in (state.epoch, state.best.epoch):
                shutil.rmtree(place, ignore_errors=True)

    def load(self) -> TrainingState | None:
        """Find the last whole epoch; damaged ones are removed. None where there is none.

        Raises
        ------
        InputError
            When the folder holds another run.
        """
        for _, place in reversed(self._epochs()):
            content = _whole(place)
            if content is None:
                logger.warning("the epoch kept in %s is damaged and is trained again", place)
                shutil.rmtree(place, ignore_errors=True)
                continue
            if content["identity"] != self._identity:
                raise InputError(
                    f"{self.folder} holds another training run",
                    hint="Give a folder of its own, or remove that one.",
                )
            history = [EpochRecord(**record) for record in content["history"]]
            state = TrainingState(history, content["step"], content["facts"])
            if self._place(state.best.epoch).is_dir():
                return state
            logger.warning("the best epoch of %s is gone, so an earlier one is gone on from", place)
        return None

    def weights(self, epoch: int) -> dict[str, Tensor]:
        """Read the weights of a kept epoch."""
        return load_file(self._place(epoch) / WEIGHTS)

    def optimiser(self, epoch: int) -> dict[str, Tensor]:
        """Read the optimiser's state of a kept epoch."""
        return load_file(self._place(epoch) / OPTIMISER)

    def _place(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}"

    def _epochs(self) -> list[tuple[int, Path]]:
        found = [(_EPOCH.fullmatch(path.name), path) for path in self.folder.glob("epoch-*")]
        return sorted((int(match[1]), path) for match, path in found if match)


def disk_problem(problem: OSError, folder: Path, epoch: int) -> ResourceError:
    """Say in words why an epoch could not be kept."""
    reasons = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
    reason = reasons.get(problem.errno or 0, problem.strerror or str(problem))
    before = f"; epoch {epoch - 1} is kept" if epoch else ""
    return ResourceError(
        f"epoch {epoch} cannot be kept in {folder}: {reason}{before}",
        hint="Free some space and start again: training goes on after the last epoch kept.",
    )


def flat_optimiser(optimiser: torch.optim.Optimizer, names: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return an optimiser's state as named tensors, not copied: ``FIELD/PARAMETER``."""
    flat = {}
    for name, parameter in names.items():
        for key, value in optimiser.state.get(parameter, {}).items():
            flat[f"{key}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    return flat


def restore_optimiser(
    optimiser: torch.optim.Optimizer, names: Mapping[str, Any], flat: Mapping[str, Tensor]
) -> None:
    """Put back what :func:`flat_optimiser` gave."""
    for entry, value in flat.items():
        key, _, name = entry.partition("/")
        parameter = names[name]
        # AdamW counts its steps on the CPU.
        place = value if key == "step" else value.to(parameter.device)
        optimiser.state[parameter][key] = place.clone()


def _whole(place: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = parse_json((place / STATE).read_text(encoding="utf-8"))
        whole = all(digest_file(place / name) == it for name, it in content["digests"].items())
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return content if whole else None


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    owned = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        save_file(owned, path)
    except SafetensorError as error:
        # safetensors wraps the operating system's errors; the number stands in the text.
        number = _OS_ERROR.search(str(error))
        raise OSError(int(number[1]) if number else 0, str(error)) from error
    flush(path)
