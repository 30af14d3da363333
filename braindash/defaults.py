"""Values that are taken when nothing else is said, and those of published papers' protocols.

A preset names the settings in which a paper's protocol differs from the default. A setting that a
request does not give, or gives as None, takes the preset's value; one that is given stays, whatever
its value.
The default is what the authors of braindash hold for correct.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

Part = Literal["train", "valid", "test"]
"""What stories and units are for: to learn from, to choose by, to be scored on once."""
PARTS: tuple[Part, ...] = get_args(Part)

# 17 values from 1 to 1e8: wide enough that z-scored designs of every layer find their optimum.
DEFAULT_ALPHAS = tuple(10.0 ** (step / 2) for step in range(17))
# In TRs: the response of the blood follows the sound by some seconds.
DEFAULT_DELAYS = (1, 2, 3, 4)

PresetName = Literal["default", "moussa2025-a", "moussa2025-b", "moussa2025-c"]
ProbePresetName = Literal["default", "moussa2025-a"]

# The authors' logspace(1, 4, 15) is of singular values, which their code squares: penalties here.
_ALPHAS = tuple(10.0 ** (2 + 6 * step / 14) for step in range(15))


@dataclass(frozen=True)
class ProbeProtocol:
    """How a paper probes.

    Attributes
    ----------
    tasks : tuple of str
        What it asks, of the labels that allow it.
    settings : mapping of str to value
        Fields of a probing request.
    labels_options : mapping of str to mapping
        Options of the readers of labels, by source.
    not_reproduced : str
        What it does otherwise.
    """

    tasks: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    labels_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    not_reproduced: str = ""


@dataclass(frozen=True)
class Preset:
    """One paper's protocol.

    Attributes
    ----------
    name : str
        As it is asked for.
    paper : str
        What it reproduces.
    settings : mapping of str to value
        Fields of an encoding request.
    region_set : str, optional
        The region set of its tables; no part of any key.
    note : str
        What a reader has to know of its regions.
    not_reproduced : str
        What of the paper's protocol no setting reproduces, or the preset leaves otherwise.
    probes : ProbeProtocol, optional
        How the paper probes; None where probing has no preset of this name.
    """

    name: PresetName
    paper: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    region_set: str | None = None
    note: str = ""
    not_reproduced: str = ""
    probes: ProbeProtocol | None = None


_PAPERS: Mapping[str, Any] = MappingProxyType(
    {
        "alphas": _ALPHAS,
        "delays": (1, 2, 3, 4),
        "score_from_row": 40,
        "ceiling_threshold": 0.4,
    }
)

PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {
        one.name: one
        for one in (
            Preset("default", "The corrected protocol"),
            Preset(
                "moussa2025-a",
                "arXiv 2506.03832",
                _PAPERS,
                "moussa2025-neurips",
                "the paper names its regions in words only: the members are those of arXiv "
                "2510.21520",
                "windows of 16 s in steps of 0.1 s: features are of the run's strategy; an FIR of "
                "10 s, 5 delays at a TR of 2 s: delays are those of the other presets "
                "(--delays 1,2,3,4,5 takes five)",
                ProbeProtocol(
                    ("mfcc", "phone", "phone_set", "word", "phonetic_sentence_type"),
                    {"metric": "macro_f1"},
                    {"timit": {"prompts": True}},
                    "the paper's probes were trained by gradient descent; here ridge regression "
                    "whose penalty a validation part chooses, on speakers that were not learnt "
                    "from, with chance levels",
                ),
            ),
            Preset("moussa2025-b", "arXiv 2410.09230", _PAPERS, "moussa2025-iclr"),
            Preset("moussa2025-c", "arXiv 2510.21520", _PAPERS, "moussa2025-neurips"),
        )
    }
)

LEAST_SCORED_ROWS = 10
"""A correlation over fewer rows of a test story says nothing: two rows always give +-1."""

_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "alphas": DEFAULT_ALPHAS,
        "delays": DEFAULT_DELAYS,
        "score_from_row": None,
        "ceiling_threshold": None,
    }
)
"""What the request has where nobody says otherwise; ``tests/test_defaults.py`` compares them."""


def with_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fill what a request does not give with the preset that it names.

    Parameters
    ----------
    given : mapping
        Fields of a request, as they were given; None is not given.

    Returns
    -------
    dict
        The fields; unchanged where the preset is the default one, or none that there is.
    """
    name = given.get("preset", "default")
    preset = PRESETS.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]
    own = {} if preset is None else preset.settings
    return dict(given) | {name: value for name, value in own.items() if given.get(name) is None}


def with_probe_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fill what a probing request does not give, as :func:`with_preset` does.

    Parameters
    ----------
    given : mapping
        Fields of a request, as they were given; None is not given.
    """
    name = given.get("preset", "default")
    preset = PRESETS.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]
    own = None if preset is None else preset.probes
    if own is None:
        return dict(given)
    found = dict(given) | {n: value for n, value in own.settings.items() if given.get(n) is None}
    source, options = given.get("labels"), given.get("labels_options") or {}
    if isinstance(source, str) and isinstance(options, Mapping):
        found["labels_options"] = {**own.labels_options.get(source, {}), **options}
    return found


def probe_differences(name: ProbePresetName) -> list[tuple[str, str, str]]:
    """List what a preset probes otherwise than the default; as :func:`differences`."""
    own = PRESETS[name].probes
    if own is None:
        return []
    lines = [
        ("tasks", f"{', '.join(own.tasks)}, as far as the labels allow", "all that labels allow"),
        ("score of classes", own.settings["metric"], "each task's own"),
    ]
    for source, options in own.labels_options.items():
        told = ", ".join(f"{option} = {str(value).lower()}" for option, value in options.items())
        lines.append((f"labels of {source}", told, "the reader's own"))
    return [*lines, ("not reproduced", own.not_reproduced, "")]


def probe_difference_lines(name: ProbePresetName) -> list[str]:
    """Say in lines what a preset probes otherwise than the default; empty for "default"."""
    found = probe_differences(name)
    if not found:
        return []
    return [
        f"Preset {name}: the protocol of {PRESETS[name].paper}. Otherwise than the default:",
        *(
            f"  {title}: {own}" + (f"; by default {default}" if default else "")
            for title, own, default in found
        ),
    ]


def differences(name: PresetName) -> list[tuple[str, str, str]]:
    """List what a preset does otherwise than the default.

    Parameters
    ----------
    name : str
        A preset.

    Returns
    -------
    list of (str, str, str)
        What it is about, the preset's way, and the default's. Also what is the same and may
        surprise: how delays are made; and, without a default, what of the paper is not
        reproduced. Empty for "default".
    """
    preset = PRESETS[name]
    if not preset.settings:
        return []
    lines = [(title, tell(preset.settings), tell(_DEFAULTS)) for title, tell in _TOLD.items()]
    regions = f"region set {preset.region_set}"
    if preset.note:
        regions += f" ({preset.note})"
    lines.append(("regions", regions, "the usual set: your own, labels that are here, discs"))
    if preset.not_reproduced:
        lines.append(("not reproduced", preset.not_reproduced, ""))
    return lines


def _alphas(settings: Mapping[str, Any]) -> str:
    values = settings["alphas"]
    told = f"{len(values)} from {values[0]:g} to {values[-1]:g}"
    squared = ", logspace(1, 4, 15) of singular values, squared" if values == _ALPHAS else ""
    return f"{told}{squared}"


def _delays(settings: Mapping[str, Any]) -> str:
    return f"{', '.join(map(str, settings['delays']))} TR, made after trimming, zeros before row 0"


def _rows(settings: Mapping[str, Any]) -> str:
    row = settings["score_from_row"]
    return "row 0, or the manifest's score_from_row" if row is None else f"row {row}"


def _threshold(settings: Mapping[str, Any]) -> str:
    least = settings["ceiling_threshold"]
    return "0.4; 0.1 between subjects" if least is None else f"{least:g} for every ceiling"


_TOLD: Mapping[str, Any] = MappingProxyType(
    {
        "penalties": _alphas,
        "delays": _delays,
        "test story scored from": _rows,
        "noise ceiling must exceed": _threshold,
    }
)


def difference_lines(name: PresetName, request: Mapping[str, Any] | None = None) -> list[str]:
    """Say in lines what a preset does otherwise than the default; empty for "default".

    Parameters
    ----------
    name : str
        A preset.
    request : mapping, optional
        Fields of the request, of which some may be given otherwise than the preset has them.
    """
    found = differences(name)
    if not found:
        return []
    lines = [f"Preset {name}: the protocol of {PRESETS[name].paper}. Otherwise than the default:"]
    for title, own, default in found:
        taken = own if request is None or title not in _TOLD else _TOLD[title](request)
        by_default = " (as by default)" if own == default else f"; by default {default}"
        if taken != own:
            lines.append(f"  {title}: {taken} (as given; the preset's: {own})")
        else:
            lines.append(f"  {title}: {own}{by_default if default else ''}")
    return lines
