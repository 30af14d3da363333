"""Which windows of a recording a model sees, and which frames of them are kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError, near_match
from braindash.speech.files import SAMPLE_RATE_HZ

WINDOW_SECONDS = 16.1
EXACT_STEP_SECONDS = 0.1
CHUNK_STEP_SECONDS = 2.0

_WINDOW = round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
_EXACT_STEP = round(EXACT_STEP_SECONDS * SAMPLE_RATE_HZ)
_CHUNK_STEP = round(CHUNK_STEP_SECONDS * SAMPLE_RATE_HZ)


@dataclass(frozen=True, eq=False)
class Window:
    """One piece of audio that a model sees at once.

    Parameters
    ----------
    start, end : int
        First sample, and the sample behind the last one.
    frames : slice
        Frames of the model's answer that are kept.
    times : float64 array of shape (n_frames,)
        Time of each kept frame in seconds from the beginning of the recording.
    """

    start: int
    end: int
    frames: slice
    times: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """Length of the window in seconds."""
        return (self.end - self.start) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Strategy:
    """A named way to cut a recording into windows.

    Parameters
    ----------
    name : str
        Its name in specifications and commands.
    windows : callable
        ``windows(n_samples, hop_samples, receptive_field_samples)`` lists the windows in order
        of time; the times of all kept frames increase strictly.
    future_seconds : float
        How far behind a kept frame's time the audio may lie that the model saw for it.
    description : str
        One sentence for interfaces.
    """

    name: str
    windows: Callable[[int, int, int], list[Window]]
    future_seconds: float
    description: str


def exact_windows(n_samples: int, hop_samples: int, receptive_field_samples: int) -> list[Window]:
    """Cut causal windows: one ends at every 0.1 s and holds the 16.1 s before; keep its last frame.

    Near the beginning windows are shorter; the first one is at least a receptive field long.
    The kept frame's time is the end of its window.

    Parameters
    ----------
    n_samples : int
        Length of the recording at 16 kHz.
    hop_samples : int
        Samples between frames; plays no part here.
    receptive_field_samples : int
        Samples that one frame needs.

    Returns
    -------
    list of Window
    """
    ends = range(_EXACT_STEP, n_samples + 1, _EXACT_STEP)
    return [
        Window(max(0, end - _WINDOW), end, slice(-1, None), np.array([end / SAMPLE_RATE_HZ]))
        for end in ends
        if end >= receptive_field_samples
    ]


def chunk_windows(n_samples: int, hop_samples: int, receptive_field_samples: int) -> list[Window]:
    """Cut one 16.1 s window per 2 s and keep every frame of its last 2 s.

    The last window ends with the recording. A frame's time is the end of its receptive field;
    every frame of the recording is kept exactly once, on one grid of ``hop_samples``. A frame
    may have seen the audio up to 2 s behind its time.

    Parameters
    ----------
    n_samples : int
        Length of the recording at 16 kHz.
    hop_samples, receptive_field_samples : int
        Samples between frames, and samples that one frame covers.

    Returns
    -------
    list of Window
    """
    windows = []
    for previous_end in range(0, n_samples, _CHUNK_STEP):
        end = min(previous_end + _CHUNK_STEP, n_samples)
        # Rounded up to the frame grid, so that all windows' frames fall on the same instants.
        start = -(-max(0, end - _WINDOW) // hop_samples) * hop_samples
        frame_ends = np.arange(start + receptive_field_samples, end + 1, hop_samples)
        first = int(np.searchsorted(frame_ends, previous_end, side="right"))
        if first < len(frame_ends):
            times = frame_ends[first:] / SAMPLE_RATE_HZ
            windows.append(Window(start, end, slice(first, None), times))
    return windows


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            Strategy(
                "exact",
                exact_windows,
                0.0,
                "Causal: every 0.1 s the model sees the 16.1 s before and its last frame is kept.",
            ),
            Strategy(
                "chunk",
                chunk_windows,
                CHUNK_STEP_SECONDS,
                "Fast, and not the same features: one 16.1 s window per 2 s, all frames of its "
                "last 2 s are kept, so a frame may have seen up to 2 s of future audio.",
            ),
        )
    }
)


def find_strategy(name: str) -> Strategy:
    """Look a strategy up by name.

    Raises
    ------
    InputError
        When there is no such strategy.
    """
    if name not in STRATEGIES:
        raise InputError(
            f"there is no feature strategy {name!r}", hint=near_match(name, STRATEGIES)
        )
    return STRATEGIES[name]
