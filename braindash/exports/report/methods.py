"""The methods of results in sentences, computed from their specifications, with what to cite."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from braindash.core.ridge.settings import folds_line
from braindash.core.statistics.words import counted
from braindash.encoding.result import EncodingResult, significance_words
from braindash.encoding.several.comparison import Group
from braindash.files import parse_toml
from braindash.io.asked import manifest_of
from braindash.io.entries import StoredResult
from braindash.probing.result import ProbingResult
from braindash.speech.windows import STRATEGIES

logger = logging.getLogger(__name__)

_CEILINGS = {"repeats": ("schoppe",), "split-half": ("spearman", "brown")}


@dataclass(frozen=True)
class Methods:
    """A methods text.

    Attributes
    ----------
    paragraphs : tuple of (str, str)
        A heading of a word or two, and its sentences.
    cited : tuple of str
        Names in :data:`braindash.references.REFERENCES`, in the order of the text.
    """

    paragraphs: tuple[tuple[str, str], ...]
    cited: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where data are from.

    Attributes
    ----------
    citation, licence : str
        As the manifest says; empty where nothing is known of it.
    """

    citation: str = ""
    licence: str = ""


def source_of(result: StoredResult) -> Source:
    """Say what to cite for a result's data and under which licence they are.

    Read from the result's record of its manifest; of results without one, from the manifest that
    it names, where that is still there.
    """
    named = result.provenance["data"].get("manifest")
    try:
        told = manifest_of(result.provenance) or (_text_of(Path(named)) if named else "")
        table = parse_toml(told).get("dataset", {})
    except ValueError:  # no manifest any more; tomllib's error is one
        logger.debug("the manifest of %s cannot be read", result.key)
        table = {}
    known = {name: table.get(name) for name in ("citation", "licence")}
    return Source(**{name: text for name, text in known.items() if isinstance(text, str)})


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError):  # an address of another machine, or no manifest
        return ""


# ---- encoding -------------------------------------------------------------------------------


def encoding_methods(group: Group) -> Methods:
    """Write the methods of encoding results of one model.

    Parameters
    ----------
    group : Group
        One result per subject.
    """
    first, cited = group.first, ["moussa2025"]
    paragraphs = [
        ("Data", _data(group)),
        ("Features", _features(first)),
        ("Regression", _regression(first)),
        ("Score", _score(group)),
        ("Noise ceiling", _ceilings(first)),
        ("Tests", _tests(first)),
        ("Regions and intervals", _intervals(group)),
        ("Software", _software(first)),
    ]
    cited += ["ridge", "huth"]
    cited += ["highpass"] * (first.spec.get("high_pass") is not None)
    cited += [one for name in first.spec["ceilings"] for one in _CEILINGS.get(str(name), ())]
    cited += _cited_tests(first)
    cited += ["bootstrap", "hesterberg"] * group.has_intervals
    cited += ["satterthwaite"] * group.over_subjects
    cited += _tools(first)
    return Methods(
        tuple((name, text) for name, text in paragraphs if text), tuple(dict.fromkeys(cited))
    )


def _cited_tests(result: EncodingResult) -> list[str]:
    if not result.has_significance:
        return []
    prewhitened = result.spec["statistics"]["scheme"] == "prewhitened"
    cited = ["prewhitening", "hoeffding", "fdr"] if prewhitened else ["phipson", "fdr"]
    if result.has_best:
        cited.append("best" if prewhitened else "westfall")
    return cited


def _data(group: Group) -> str:
    first = group.first
    who = (
        f"the mean response of {len(first.members)} subjects ({_listed(first.members)})"
        if first.members
        else f"{counted(group.n_subjects, 'subject')} ({_listed(group.subjects)})"
    )
    made = (
        "Responses and speech were SIMULATED: they come from a generator and are no evidence about "
        "brains. "
        if group.simulated
        else ""
    )
    return (
        f"{made}Responses of {who} of the data set {first.data} to stories, in the space "
        f"{first.space}. {_stories(first)}"
    )


def _stories(result: EncodingResult) -> str:
    train, test = ([str(one["name"]) for one in result.spec[part]] for part in ("train", "test"))
    if result.spec.get("within"):
        within = result.spec["within"]
        return (
            f"The one story, {_listed(test)}, was split into {within['n_blocks']} blocks, each "
            f"held out once with {within['gap_rows']} rows at each side left out."
        )
    return (
        f"Training stories ({len(train)}): {_listed(train)}. Test: {_listed(test)}, of which "
        f"{result.n_scored_rows} rows were scored; they play no part in any choice."
    )


def _features(result: EncodingResult) -> str:
    strategy = str(result.provenance["strategy"])
    how = STRATEGIES[strategy].description if strategy in STRATEGIES else "Frames of a fixed grid."
    revision = result.provenance["model"].get("revision")
    at = f", revision {revision}" if revision else ""
    return (
        f"Activations of all {result.n_layers} layers of {result.model} (fingerprint "
        f"{result.provenance['model']['fingerprint'][:12]}{at}); layer 0 is the input of the first "
        f"transformer block, and the last one what the encoder returns. Strategy '{strategy}': "
        f"{how} Frames were brought to the times of the responses by Lanczos resampling (three "
        "lobes) and z-scored within each story."
    )


def _regression(result: EncodingResult) -> str:
    spec = result.spec
    delays, alphas = spec["delays"], spec["alphas"]
    shared = {
        "target": "per target",
        "region": "per region",
        "shared": "once for all targets",
    }[spec.get("penalty", "target")]
    filtered = (
        ""
        if spec.get("high_pass") is None
        else f" Cosines with periods of {spec['high_pass']:g} s and longer were removed from "
        "features and responses of every story."
    )
    standard = "z-scored within each presentation" if spec["standardise_responses"] else "as stored"
    constant = "with" if spec.get("intercept", True) else "without"
    return (
        f"Ridge regression {constant} an intercept on features at delays of {_listed(delays)} TR, "
        f"within each story; responses {standard}. The penalty was chosen {shared} among "
        f"{len(alphas)} values from {min(alphas):.3g} to {max(alphas):.3g} by "
        f"{folds_line(spec['folds'], len(spec['train']))} {spec['metric']}.{filtered}"
    )


def _score(group: Group) -> str:
    many = " Means over subjects are means of their own scores." if group.n_subjects > 1 else ""
    return (
        "Pearson's correlation r of the predicted with the measured response on the test rows, "
        f"from row {group.first.spec['score_from_row'][0]} on.{many}"
    )


def _ceilings(result: EncodingResult) -> str:
    names = [str(name) for name in result.spec["ceilings"]]
    if not names:
        return "The data give none."
    lines = [f"{result.ceiling_line(name)} (threshold {result.ceiling_threshold(name):g})"
             for name in names]  # fmt: skip
    return f"{'; '.join(lines)}. Scores are never clipped."


def _tests(result: EncodingResult) -> str:
    if not result.has_significance:
        return "None were computed."
    told = significance_words(result.spec["statistics"])
    best = f" The best layer of a target: {result.best_line()}." if result.n_layers > 1 else ""
    return f"p: {told}. q: false discovery rate over the targets of a layer.{best}"


def _intervals(group: Group) -> str:
    regions = group.first.regions_line() or "all targets together"
    return f"Regions: {regions}. Intervals: {group.interval_line()}."


# ---- probes ---------------------------------------------------------------------------------


def probing_methods(result: ProbingResult) -> Methods:
    """Write the methods of a probing result."""
    spec = result.spec
    kinds = _listed(dict.fromkeys(one["method"] for one in spec["tasks"]))
    made = "Speech and labels were SIMULATED. " if result.simulated else ""
    data = (
        f"{made}{result.provenance['recordings']} recordings of {result.data}; labels: "
        f"{result.provenance.get('labels', 'as given')}."
    )
    how = (
        f"Every layer's activations (strategy '{result.provenance['strategy']}') were averaged "
        f"over each labelled unit, and linear probes ({kinds}) learnt from the training part of "
        "the units; the penalty was chosen on the validation part, and the test part scored once."
    )
    splits = [f"{task}: {result.facts(task)['split']}" for task in result.tasks]
    chance = (
        f"Chance is the score of one and the same answer or, where higher, that of probes of "
        f"shuffled labels ({spec['n_shuffles']} runs)."
    )
    paragraphs = (
        ("Data", data),
        ("Probes", how),
        ("Split", f"{'; '.join(splits)}."),
        ("Chance and intervals", f"{chance} Intervals: {result.interval_line()}."),
        ("Software", _software(result)),
    )
    return Methods(paragraphs, ("moussa2025", *_tools(result)))


# ---- small parts ----------------------------------------------------------------------------


def _software(result: StoredResult) -> str:
    versions = result.provenance["versions"]
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    when = str(result.provenance["created"])[:10]
    return f"Computed on {when} with {told}{f' ({result.older})' if result.older else ''}."


def _tools(result: StoredResult) -> list[str]:
    versions = result.provenance["versions"]
    return [name for name in ("torch", "transformers", "numpy", "scipy") if name in versions]


def _listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)
