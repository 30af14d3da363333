"""Where tuned models lie in a store, and what is known of runs under way; plain facts, no torch."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from braindash.errors import StoreError
from braindash.io.entries import require_kind
from braindash.io.store import Entry, Store
from braindash.names import given_path
from braindash.specs import TuningSpec
from braindash.speech.checkpoints.copying import copy_model
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.tuning.record import read_record, read_run, steps_words

logger = logging.getLogger(__name__)

PROGRESS_FILE = "progress.json"
# The record of a run that taught its model nothing; it lies beside the epochs.
UNLEARNED = "nothing-learned.json"
_MODELS = "models"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class TunedModel:
    """A tuned model of the store, as menus need it.

    Attributes
    ----------
    name : str
        Of its folder.
    folder : Path
    record : mapping
        Content of its record.
    written : float
        When, in seconds since 1970.
    """

    name: str
    folder: Path
    record: Mapping[str, Any]
    written: float

    @property
    def simulated(self) -> bool:
        """Whether it was tuned on simulated responses."""
        return bool(self.record["data"]["simulated"])

    @property
    def fingerprint(self) -> str:
        """Of the model, as results name it."""
        return str(self.record["fingerprint"])

    @property
    def base_fingerprint(self) -> str:
        """Of the model it was before."""
        return str(self.record["base"]["fingerprint"])


@dataclass(frozen=True)
class DamagedModel:
    """A folder with the record of a tuned model that cannot be read, and why."""

    folder: Path
    problem: str


@dataclass(frozen=True)
class TuningResult:
    """A tuned model of the store.

    Attributes
    ----------
    key : str
        Of the result.
    folder : Path
        The model's folder: give it wherever a model is asked for.
    record : dict
        Content of its record.
    """

    key: str
    folder: Path
    record: dict[str, Any]

    @classmethod
    def load(cls, entry: Entry, store: Store) -> Self:
        """Open a stored result.

        Raises
        ------
        StoreError
            The entry is of another kind, or the model's folder is gone or cannot be read.
        """
        require_kind(entry, "tuning")
        folder = store.root / entry.provenance["model_folder"]
        try:
            record = read_record(folder)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the tuned model {entry.key} is not in {folder}: {error}",
                hint="Ask for it again and it is tuned anew, or copy its folder back.",
            ) from error
        return cls(entry.key, folder, record)

    def copied(self, place: Path | str) -> Self:
        """Copy the model to a new or empty folder, and return the result that lies there.

        Raises
        ------
        InputError
            When something is in the way.
        """
        folder = given_path(place, exact=True)
        copy_model(self.folder, folder)
        return replace(self, folder=folder)

    def line(self) -> str:
        """Say in one line what came out."""
        history = self.record["history"]
        kept = self.record["kept_epoch"]

        def mean_r(epoch: int) -> float:
            return float(np.mean(list(history[epoch]["validation_r"].values())))

        stopped = f"; {self.record['stopped']}" if self.record["stopped"] else ""
        better = "" if self.record["improved"] else "; no epoch was better than the start"
        steps = steps_words(self.record)
        told = f"; {steps}" if steps else ""
        return (
            f"epoch {kept} of {history[-1]['epoch']} kept, validation r {mean_r(kept):.4f} "
            f"({mean_r(0):.4f} before tuning){told}{stopped}{better}"
        )


def model_folder(store: Store, base: str, spec: TuningSpec) -> Path:
    """Say where a tuned model goes: ``models/BASE-tuned-SUBJECTS-KEY``."""
    name = _NOT_IN_A_NAME.sub("-", base.rsplit("/", 1)[-1]).strip("-")
    what = "tuned" if spec.control in ("none", "random-init") else f"control-{spec.control}"
    if spec.settings.adapter is not None:
        what += "-lora"
    people = "-".join(spec.subjects) if len(spec.subjects) < 4 else f"{len(spec.subjects)}-subjects"
    people = _NOT_IN_A_NAME.sub("-", people)
    return store.root / _MODELS / f"{name}-{what}-{people}-{spec.key()[:8]}"


def tuned_models(store: Store) -> list[TunedModel]:
    """List the tuned models of a store, newest first."""
    return read_tuned(_folders(store))


def damaged_models(store: Store) -> list[DamagedModel]:
    """List the tuned models of a store whose record cannot be read."""
    found = (_read(folder) for folder in _folders(store))
    return [one for one in found if isinstance(one, DamagedModel)]


def read_tuned(folders: Iterable[Path]) -> list[TunedModel]:
    """Read the records of tuned models, newest first; folders without a whole one are left out."""
    found = [one for one in map(_read, folders) if isinstance(one, TunedModel)]
    return sorted(found, key=lambda one: (-one.written, one.folder))


def _folders(store: Store) -> list[Path]:
    return sorted(path.parent for path in (store.root / _MODELS).glob(f"*/{TUNING_RECORD}"))


def _read(folder: Path) -> TunedModel | DamagedModel | None:
    try:
        record = read_record(folder)
        written = (folder / TUNING_RECORD).stat().st_mtime
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return DamagedModel(folder, str(error))
    return TunedModel(folder.name, folder, record, written)


def progress_document(
    n_epochs: int, epochs: Sequence[Mapping[str, Any]], *, simulated: bool
) -> dict[str, Any]:
    """Make the content of a run's progress file."""
    return {"epochs": n_epochs, "history": list(epochs), "simulated": simulated}


def read_progress(store: Store, key: str) -> dict[str, Any] | None:
    """Read how far a run under way is; None where there is none, or no epoch yet.

    Returns
    -------
    dict or None
        ``epochs``, how many there will be at most, ``history``, a dict per finished epoch, and
        ``simulated``, whether a generator made the responses.
    """
    path = store.parts_folder("tuning", key) / PROGRESS_FILE
    try:
        return read_run(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return None
