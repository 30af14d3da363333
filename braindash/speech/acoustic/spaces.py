"""The acoustic feature spaces: names, settings and versions; plain facts, free of torch.

A space is a model with one layer and no weights. It is made of parts side by side, and a part is
what :mod:`braindash.speech.acoustic.spectral` or :mod:`braindash.speech.acoustic.pitch` compute
with the settings given here. All parts share one grid of frames: frame ``i`` is centred ``0.0125 +
0.01 i`` seconds after the beginning of the recording. Spaces of an annotated tier
(:mod:`braindash.speech.acoustic.annotated`) have steps of 0.01 seconds from its beginning instead.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from braindash.core.phones import ARPABET, ARTICULATIONS
from braindash.digest import digest_json
from braindash.errors import ModelError, near_match

ACOUSTIC = "acoustic"
# Of the spaces made of annotations.
ANNOTATED_STEP_SECONDS = 0.01


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
        Key of :data:`PARTS`.
    version : int
        Raise it whenever the computation changes: older features are then computed again.
    n_features : int
        Number of columns.
    settings : mapping
        Everything else that determines the numbers.
    """

    name: str
    version: int
    n_features: int
    settings: Mapping[str, Any]


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
    """

    name: str
    parts: tuple[Part, ...]
    description: str
    tier: Literal["phone", "word"] | None = None

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
        """Versions of the parts, as text."""
        return ".".join(str(part.version) for part in self.parts)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that determines the numbers, by part."""
        return {
            part.name: {"version": part.version, **part.settings}  # in the order of the columns
            for part in self.parts
        }

    @property
    def fingerprint(self) -> str:
        """Digest of the parts, their versions and settings; the name plays no part."""
        return digest_json({"family": ACOUSTIC, "parts": list(self.settings.items())})


_CEPSTRAL_ONLY = ("n_coefficients", "delta_frames")
_SPECTRUM_OF_BANDS = {
    name: value for name, value in asdict(SPECTRUM).items() if name not in _CEPSTRAL_ONLY
}
_GRID = {name: getattr(SPECTRUM, name) for name in ("window_seconds", "hop_seconds")}


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
            _annotated("phones", ARPABET),
            _annotated("articulation", ARTICULATIONS),
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


def is_acoustic(source: str) -> bool:
    """Say whether a model's source means an acoustic space: it begins with ``acoustic:``."""
    prefix, colon, _ = source.partition(":")
    return bool(colon) and prefix.lower() == ACOUSTIC


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
        When there is no such space.
    """
    for space in SPACES.values():
        if space.full_name == source:
            return space
    raise ModelError(
        f"there is no acoustic feature space {source!r}",
        hint=near_match(source, (space.full_name for space in SPACES.values())),
    )
