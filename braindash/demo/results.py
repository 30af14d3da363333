"""The embedded demo's results: written down when a run has ended, opened without a new one."""

from typing import NamedTuple

from braindash.demo.requests import DEMO_MODELS, demo_identity
from braindash.encoding.result import EncodingResult
from braindash.files import replace_json
from braindash.io.entries import read_object
from braindash.io.store import Store
from braindash.probing.result import ProbingResult
from braindash.tuning.result import TunedModel, read_tuned, tuned_models

# In the demo's folder: the keys of all results of a run that came to its end.
_FINISHED = "results.json"


class DemoResults(NamedTuple):
    """All results of the embedded demo.

    Attributes
    ----------
    encodings : list of EncodingResult
        One per model of :data:`braindash.demo.requests.SCORED_MODELS` and simulated subject.
    probings : list of ProbingResult
        One per model and control.
    """

    encodings: list[EncodingResult]
    probings: list[ProbingResult]


def note_finished(store: Store, made: DemoResults) -> None:
    """Write down which results a run of the demo has made."""
    noted = {
        "identity": demo_identity(),
        "encoding": [one.key for one in made.encodings],
        "probing": [one.key for one in made.probings],
    }
    replace_json(store.demo_folder / _FINISHED, noted)


def open_finished(store: Store) -> DemoResults | None:
    """Open the results that an earlier run wrote down; None when one of them is gone.

    Planning again what to look up would read every file of the demo.
    """
    try:
        noted = read_object(store.demo_folder / _FINISHED)
        keys = {kind: [str(key) for key in noted[kind]] for kind in ("encoding", "probing")}
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or not one of ours
        return None
    if noted.get("identity") != demo_identity():
        return None
    named = [(kind, key) for kind, own in keys.items() for key in own]
    entries = [store.get_or_none(kind, key) for kind, key in named if store.has(kind, key)]
    there = [entry for entry in entries if entry is not None]
    if not there or len(there) < len(named):
        return None
    return DemoResults(
        [EncodingResult.load(entry) for entry in there if entry.kind == "encoding"],
        [ProbingResult.load(entry) for entry in there if entry.kind == "probing"],
    )


def tuned_controls(store: Store) -> frozenset[str]:
    """Name the controls among the tuned models that ship and those of a store, by fingerprint."""
    return frozenset(
        one.fingerprint for one in _known(store) if one.record["spec"]["control"] != "none"
    )


def tuned_bases(store: Store) -> dict[str, str]:
    """Say what each tuned model was tuned from, of those that ship and those of a store.

    Returns
    -------
    dict of str to str
        Fingerprint to the fingerprint of the base.
    """
    return {one.fingerprint: one.base_fingerprint for one in _known(store)}


def _known(store: Store) -> list[TunedModel]:
    return [*read_tuned(DEMO_MODELS.values()), *tuned_models(store)]
