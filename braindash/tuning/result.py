"""Where tuned models lie in a store, and what is known of runs under way; plain facts, no torch."""

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from braindash.errors import StoreError
from braindash.io.store import Entry, Store
from braindash.specs import TuningSpec
from braindash.speech.checkpoints.copying import copy_model
from braindash.speech.checkpoints.folders import TUNING_RECORD

logger = logging.getLogger(__name__)

PROGRESS_FILE = "progress.json"
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
    """

    name: str
    folder: Path
    record: Mapping[str, Any]

    @property
    def simulated(self) -> bool:
        """Whether it was tuned on simulated responses."""
        return bool(self.record.get("data", {}).get("simulated", False))

    @property
    def fingerprint(self) -> str:
        """Of the model, as results name it; empty in an incomplete record."""
        return str(self.record.get("fingerprint", ""))

    @property
    def base_fingerprint(self) -> str:
        """Of the model it was before; empty in an incomplete record."""
        return str(self.record.get("base", {}).get("fingerprint", ""))


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
            When the model's folder is gone or cannot be read.
        """
        folder = store.root / entry.provenance["model_folder"]
        try:
            record = json.loads((folder / TUNING_RECORD).read_text(encoding="utf-8"))
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
        folder = Path(place).expanduser()
        copy_model(self.folder, folder)
        return replace(self, folder=folder)

    def line(self) -> str:
        """Say in one line what came out."""
        history = self.record["history"]
        kept = self.record["kept_epoch"]

        def mean_r(epoch: int) -> float:
            return float(np.mean(list(history[epoch]["validation_r"].values())))

        stopped = f"; {self.record['stopped']}" if self.record["stopped"] else ""
        return (
            f"epoch {kept} of {history[-1]['epoch']} kept, validation r {mean_r(kept):.4f} "
            f"({mean_r(0):.4f} before tuning){stopped}"
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
    folders = [path.parent for path in (store.root / _MODELS).glob(f"*/{TUNING_RECORD}")]
    return read_tuned(folders)


def read_tuned(folders: Iterable[Path]) -> list[TunedModel]:
    """Read the records of tuned models, newest first; folders without one are left out."""
    found = []
    for folder in folders:
        path = folder / TUNING_RECORD
        if not path.exists():
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found.append((path.stat().st_mtime, folder, record))
        except (OSError, ValueError) as error:
            logger.warning("the tuned model in %s cannot be listed: %s", folder, error)
    return [
        TunedModel(folder.name, folder, record)
        for _, folder, record in sorted(found, key=lambda one: (-one[0], one[1]))
    ]


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
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return None
    return found
