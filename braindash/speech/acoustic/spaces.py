"""The acoustic feature spaces: names, settings and versions; plain facts, free of torch.

A space is a model with one layer and no weights. It is made of parts side by side, and a part is
what :mod:`braindash.speech.acoustic.spectral` or :mod:`braindash.speech.acoustic.pitch` compute
with the settings given here. All parts share one grid of frames: frame ``i`` is centred ``0.0125 +
0.01 i`` seconds after the beginning of the recording. Spaces of an annotated tier
(:mod:`braindash.speech.acoustic.annotated`) have steps of 0.01 seconds from its beginning instead.

Other packages bring further spaces along. Such a plugin is a module ::

    import numpy as np
    from braindash.speech.acoustic.spaces import AcousticSpace, Part

    def peak(samples, first, stop):
        from braindash.speech.acoustic.spectral import WINDOW, centred

        windows = centred(samples, first, stop, WINDOW)  # (n_frames, 400): 25 ms at 16 kHz
        return np.abs(windows).max(axis=1, keepdims=True).astype(np.float32)

    SPACE = AcousticSpace(
        "peak", (Part("peak", 1, 1, {"window_seconds": 0.025}, peak),), "Peak of every 25 ms."
    )

of a distribution whose ``pyproject.toml`` names it::

    [project.entry-points."braindash.spaces"]
    peak = "lab_spaces:SPACE"

Once both are installed, ``acoustic:peak`` stands in every menu and goes wherever a space goes.
Name and version of the distribution are part of the space's fingerprint, as are the version and
the settings of its parts: raise one of them whenever the numbers change.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from braindash.core.phones import ARPABET, ARTICULATIONS
from braindash.errors import ModelError, near_match
from braindash.files import digest_json
from braindash.plugins import Plugins, load_plugins, plugin_points

logger = logging.getLogger(__name__)

ACOUSTIC = "acoustic"
SPACE_PLUGINS = "braindash.spaces"
"""Entry points of the spaces that other packages bring along."""
Compute = Callable[[NDArray[np.float32], int, int], NDArray[np.float32]]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Of the spaces made of annotations.
ANNOTATED_STEP_SECONDS = 0.01
TRIPLE_COLUMNS = 4096
"""Columns of three phones in a row: of the 59,319 triples few occur, and each has its column."""


@dataclass(frozen=True)
class SpectralSettings:
    """Settings of the spectrum, the cepstrum and the energy.

    Parameters
    ----------
    window_seconds, hop_seconds : float
        Length of a frame's window, and the step from one frame to the next.
    n_fft : int
        Points of the Fourier transform; at 512 every band holds at least two of its bins.
    n_bands : int
        Mel bands.
    low_hz, high_hz : float
        Lower edge of the first band and upper edge of the last one. Below 60 Hz lie offset and
        rumble of the recording rather than speech.
    power_floor : float
        Powers below it count as this much: 100 dB below full scale, where a recording of 16 bits
        holds only rounding, so that digital silence has a logarithm.
    n_coefficients : int
        Cepstral coefficients, the zeroth included.
    delta_frames : int
        Frames to each side that a slope is fitted to.
    """

    window_seconds: float = 0.025
    hop_seconds: float = 0.01
    n_fft: int = 512
    n_bands: int = 80
    low_hz: float = 60.0
    high_hz: float = 8000.0
    power_floor: float = 1e-10
    n_coefficients: int = 13
    delta_frames: int = 2

    @property
    def even_edges_hz(self) -> tuple[float, ...]:
        """Edges of the even bands of the power spectrum, each of four bins of the transform."""
        bin_hz = 2 * self.high_hz / self.n_fft
        return tuple((4 * band + 0.5) * bin_hz for band in range(self.n_fft // 8 + 1))


@dataclass(frozen=True)
class PitchSettings:
    """Settings of the fundamental frequency (F0).

    Parameters
    ----------
    low_hz, high_hz : float
        Lowest and highest F0 that is looked for.
    window_seconds : float
        Length over which a frame is compared with its shifted self; the frame itself is longer by
        the longest period, 1 / ``low_hz``.
    dip_margin : float
        The shortest period is taken whose normalised difference dips to within this of the
        deepest dip.
    voiced_below : float
        A frame is voiced when the normalised difference at its period is below this: white noise
        never is, noise with the spectrum of speech in about 1 of 100 frames.
    neighbour_range : float
        How far, as a share, a period may lie from that of the clearest frame beside it.
    power_floor : float
        Frames of less power are unvoiced; so are those whose window reaches over the ends.
    reference_hz : float
        F0 whose feature is 0, the value of unvoiced frames.
    """

    low_hz: float = 60.0
    high_hz: float = 500.0
    window_seconds: float = 0.025
    dip_margin: float = 0.1
    voiced_below: float = 0.45
    neighbour_range: float = 0.2
    power_floor: float = 1e-10
    reference_hz: float = 150.0


SPECTRUM = SpectralSettings()
PITCH = PitchSettings()


@dataclass(frozen=True)
class Part:
    """Features that are always computed together.

    Parameters
    ----------
    name : str
        Key of :data:`PARTS`; of a plugin's part, any that is not another part of the same space.
    version : int
        Raise it whenever the computation changes: older features are then computed again.
    n_features : int
        Number of columns.
    settings : mapping
        Everything else that determines the numbers; JSON values.
    compute : callable, optional
        For plugins. Takes the whole recording, float32 (n_samples,) at 16 kHz and not to be
        changed, the first frame that is wanted and the frame behind the last one; returns
        float32 (stop - first, n_features). A frame must not depend on which others are wanted.
    """

    name: str
    version: int
    n_features: int
    settings: Mapping[str, Any]
    compute: Compute | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class AcousticSpace:
    """A named set of acoustic features.

    Parameters
    ----------
    name : str
        What follows ``acoustic:``.
    parts : tuple of Part
        Its columns, from left to right.
    description : str
        One sentence for interfaces.
    tier : {"phone", "word"}, optional
        The annotation it is made of; None for a space made of the sound.
    plugin : str, default ""
        Name and version of the distribution that brings it along, filled in when it is found;
        empty for braindash's own.
    """

    name: str
    parts: tuple[Part, ...]
    description: str
    tier: Literal["phone", "word"] | None = None
    plugin: str = ""

    @property
    def window_and_step_seconds(self) -> tuple[float, float]:
        """Length of a frame and the step to the next one."""
        if self.tier is not None:
            return ANNOTATED_STEP_SECONDS, ANNOTATED_STEP_SECONDS
        return SPECTRUM.window_seconds, SPECTRUM.hop_seconds

    @property
    def full_name(self) -> str:
        """Name as users write it: ``acoustic:NAME``."""
        return f"{ACOUSTIC}:{self.name}"

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return sum(part.n_features for part in self.parts)

    @property
    def version(self) -> str:
        """Versions of the parts, as text; of a plugin also its own."""
        parts = ".".join(str(part.version) for part in self.parts)
        return f"{parts} of {self.plugin}" if self.plugin else parts

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that determines the numbers, by part."""
        return {
            part.name: {"version": part.version, **part.settings} | self._origin(part)
            for part in self.parts  # in the order of the columns
        }

    def _origin(self, part: Part) -> dict[str, str]:
        return {} if part.compute is None else {"plugin": self.plugin}

    @property
    def fingerprint(self) -> str:
        """Digest of the parts, their versions and settings; the name plays no part."""
        return digest_json({"family": ACOUSTIC, "parts": list(self.settings.items())})


_CEPSTRAL_ONLY = ("n_coefficients", "delta_frames")
_SPECTRUM_OF_BANDS = {
    name: value for name, value in asdict(SPECTRUM).items() if name not in _CEPSTRAL_ONLY
}
_GRID = {name: getattr(SPECTRUM, name) for name in ("window_seconds", "hop_seconds")}
_EVEN_BANDS = len(SPECTRUM.even_edges_hz) - 1


def _annotated(name: str, columns: tuple[str, ...]) -> Part:
    settings = {"step_seconds": ANNOTATED_STEP_SECONDS, "columns": columns}
    return Part(name, 1, len(columns), settings)


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        part.name: part
        for part in (
            Part("logmel", 1, SPECTRUM.n_bands, _SPECTRUM_OF_BANDS),
            Part("mfcc", 1, 3 * SPECTRUM.n_coefficients, asdict(SPECTRUM)),
            Part("energy", 1, 1, _GRID | {"power_floor": SPECTRUM.power_floor}),
            Part("pitch", 1, 2, {"grid": _GRID} | asdict(PITCH)),
            Part(
                "spectrum",
                1,
                _EVEN_BANDS,
                _GRID
                | {"n_fft": SPECTRUM.n_fft, "power_floor": SPECTRUM.power_floor}
                | {"edges_hz": SPECTRUM.even_edges_hz},
            ),
            _annotated("phones", ARPABET),
            _annotated("articulation", ARTICULATIONS),
            Part(
                "diphones",
                1,
                len(ARPABET) ** 2,
                {"step_seconds": ANNOTATED_STEP_SECONDS, "pairs_of": ARPABET},
            ),
            Part(
                "triphones",
                1,
                TRIPLE_COLUMNS,
                {
                    "step_seconds": ANNOTATED_STEP_SECONDS,
                    "triples_of": ARPABET,
                    "columns_by": ("CRC-32",),
                },
            ),
            _annotated("phonerate", ("phones per second",)),
            _annotated("wordrate", ("words per second",)),
        )
    }
)

SPACES: Mapping[str, AcousticSpace] = MappingProxyType(
    {
        space.name: space
        for space in (
            AcousticSpace(
                "logmel", (PARTS["logmel"],), "Log-mel spectrogram: 80 bands from 60 to 8000 Hz."
            ),
            AcousticSpace(
                "mfcc",
                (PARTS["mfcc"],),
                "13 mel-frequency cepstral coefficients with their first and second slopes.",
            ),
            AcousticSpace("energy", (PARTS["energy"],), "Logarithm of the root mean square."),
            AcousticSpace(
                "pitch",
                (PARTS["pitch"],),
                "Logarithm of the fundamental frequency, and whether there is one.",
            ),
            AcousticSpace(
                "spectrum",
                (PARTS["spectrum"],),
                f"Power spectrum: log power in {_EVEN_BANDS} bands of 125 Hz from 16 to 8016 Hz.",
            ),
            AcousticSpace(
                "lowlevel",
                (PARTS["logmel"], PARTS["energy"], PARTS["pitch"]),
                "Log-mel spectrogram, energy and pitch together.",
            ),
            AcousticSpace(
                "phones",
                (PARTS["phones"],),
                "Which of the 39 phones of ARPABET is spoken, from the annotations.",
                "phone",
            ),
            AcousticSpace(
                "articulation",
                (PARTS["articulation"],),
                "How the sound is made (voicing, manner, place), from the annotated phones.",
                "phone",
            ),
            AcousticSpace(
                "diphones",
                (PARTS["diphones"],),
                "Which phone is spoken after which, from the annotations.",
                "phone",
            ),
            AcousticSpace(
                "triphones",
                (PARTS["triphones"],),
                "Which phone is spoken between which two, from the annotations.",
                "phone",
            ),
            AcousticSpace(
                "phonerate",
                (PARTS["phonerate"],),
                "Phones that begin, per second, from the annotations.",
                "phone",
            ),
            AcousticSpace(
                "wordrate",
                (PARTS["wordrate"],),
                "Words that begin, per second, from the annotations.",
                "word",
            ),
        )
    }
)


def space_names() -> tuple[str, ...]:
    """List the names of all spaces, own and of plugins, without importing any plugin."""
    return tuple(dict.fromkeys([*SPACES, *(point.name for point in plugin_points(SPACE_PLUGINS))]))


def known_spaces() -> Mapping[str, AcousticSpace]:
    """Return all spaces that can be used, by name: braindash's own, then those of plugins.

    A plugin that is broken is left out, with a warning in the log; :func:`find_space` says what is
    wrong with it.
    """
    return MappingProxyType({**SPACES, **_plugins().found})


def find_space(source: str) -> AcousticSpace:
    """Look an acoustic space up by its full name.

    Parameters
    ----------
    source : str
        ``acoustic:NAME``.

    Returns
    -------
    AcousticSpace

    Raises
    ------
    ModelError
        When there is no such space, or the plugin that should bring it along is broken.
    """
    name = source.removeprefix(f"{ACOUSTIC}:")
    space = SPACES.get(name) or known_spaces().get(name)  # own ones need no look at plugins
    if space is not None and space.full_name == source:
        return space
    if name in _plugins().problems:
        raise ModelError(
            f"the acoustic feature space {source!r} cannot be used: {_plugins().problems[name]}",
            hint="Repair, update or uninstall that distribution; all else works without it.",
        )
    raise ModelError(
        f"there is no acoustic feature space {source!r}",
        hint=near_match(source, (space.full_name for space in known_spaces().values())),
    )


# Spaces of other packages -----------------------------------------------------------------------


@cache
def _plugins() -> Plugins[AcousticSpace]:
    """Import every plugin, once in the life of a process."""
    return load_plugins(SPACE_PLUGINS, "feature space", SPACES.__contains__, _problem)


def _problem(point: EntryPoint, space: object) -> str:
    """Say why what a plugin brings along cannot be used; empty where it can."""
    if not isinstance(space, AcousticSpace):
        return f"it is {type(space).__name__}, not AcousticSpace"
    if space.name != point.name or not _NAME.fullmatch(space.name):
        return (
            f"the entry point is named {point.name!r} and the space {space.name!r}; both must be "
            "one name of a-z, 0-9, - and _"
        )
    if space.tier is not None:
        return "only spaces made of sound can be plugins, but it names a tier"
    names = [part.name for part in space.parts]
    if not names or len(set(names)) < len(names):
        return f"its parts {names} are none, or not all of different names"
    for part in space.parts:
        own = PARTS.get(part.name) == part
        if not own and not (callable(part.compute) and part.n_features > 0):
            return f"its part {part.name!r} has no function, or no columns"
    digest_json(space.settings)  # raises where they are no JSON
    return ""
