"""Sounds and responses of made-up folders: what every layout's generator shares."""

from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import soundfile
from nibabel.gifti import GiftiDataArray, GiftiImage

from kit.data.planted import loudness, planted_responses, wandering_sound

LAG_SECONDS = 4.5
N_FOLLOWERS = 6


@dataclass
class Made:
    """A made-up folder.

    Attributes
    ----------
    folder : Path
        To be indexed.
    audio : Path or None
        Folder of sounds, where they lie apart.
    courses : dict
        Loudness by name of sound.
    """

    folder: Path
    audio: Path | None = None
    courses: dict[str, np.ndarray] = field(default_factory=dict)

    def sound(
        self, path: Path, seconds: float, *, rate: int = 8000, channels: int = 1
    ) -> np.ndarray:
        """Write a sound whose loudness wanders, and remember it by the name of its file."""
        seed = len(self.courses) + 1
        course = loudness(seconds, seed)
        samples = wandering_sound(course, seed, rate)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = np.stack([samples] * channels, axis=1) if channels > 1 else samples
        soundfile.write(path, written, rate, subtype="PCM_16")
        self.courses[path.stem] = course
        return course

    def responses(
        self,
        sound: str,
        times: np.ndarray,
        n_targets: int,
        *,
        seed: int = 0,
        lag: float | None = None,
    ) -> np.ndarray:
        """Return responses (n_rows, n_targets) whose first targets follow a sound, later."""
        return planted_responses(
            self.courses[sound],
            times,
            LAG_SECONDS if lag is None else lag,
            n_targets,
            followers=slice(0, N_FOLLOWERS),
            noise=0.3,
            seed=seed,
        )


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_textgrid(path: Path, words: list[tuple[float, float, str]], seconds: float) -> None:
    """Write a TextGrid in the long form with tiers of phones and of words."""
    tiers = []
    for number, name in enumerate(("phone", "word"), 1):
        label = (lambda text: "AA1") if name == "phone" else str
        rows = "".join(
            f"        intervals [{i}]:\n            xmin = {a}\n            xmax = {b}\n"
            f'            text = "{label(text)}"\n'
            for i, (a, b, text) in enumerate(words, 1)
        )
        tiers.append(
            f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n'
            f"        xmin = 0\n        xmax = {seconds}\n"
            f"        intervals: size = {len(words)}\n{rows}"
        )
    write_text(
        path,
        f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {seconds}\n'
        f"tiers? <exists>\nsize = 2\nitem []:\n{''.join(tiers)}",
    )


def tiny_words(seconds: float) -> list[tuple[float, float, str]]:
    return [(t, t + 1.0, f"word{int(t) % 7}") for t in np.arange(0.0, seconds - 1, 1.0)]


def write_gifti(
    path: Path, rows: np.ndarray, encoding: str = "B64GZ", *, one: bool = False
) -> None:
    """Write a time series (n_rows, n_vertices): one array per volume, or one of (vertex, row)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [rows.T] if one else list(rows)
    image = GiftiImage(
        darrays=[
            GiftiDataArray(
                np.ascontiguousarray(array, dtype=np.float32),
                intent="NIFTI_INTENT_TIME_SERIES",
                datatype="NIFTI_TYPE_FLOAT32",
                encoding=encoding,
            )
            for array in arrays
        ]
    )
    nibabel.save(image, path)


def spread(rows: np.ndarray, n_vertices: int, first: int = 100) -> np.ndarray:
    """Put few targets on a mesh: NaN in the first vertices (a medial wall), 0 elsewhere."""
    whole = np.zeros((len(rows), n_vertices), dtype=np.float32)
    whole[:, :10] = np.nan
    whole[:, first : first + rows.shape[1]] = rows
    return whole


def write_volumes(path: Path, rows: np.ndarray, size: tuple[int, int, int]) -> None:
    """Write volumes whose voxels, in numpy's order, are the targets; the rest is 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.zeros((len(rows), int(np.prod(size))), dtype=np.float32)
    voxels[:, : rows.shape[1]] = rows
    nibabel.save(nibabel.Nifti1Image(voxels.T.reshape(*size, len(rows)), _affine()), path)


def write_mask(path: Path, size: tuple[int, int, int], n_targets: int) -> None:
    marks = np.zeros(int(np.prod(size)), dtype=np.uint8)
    marks[:n_targets] = 1
    nibabel.save(nibabel.Nifti1Image(marks.reshape(size), _affine()), path)


def _affine() -> np.ndarray:
    return np.diag([3.0, 3.0, 3.0, 1.0])
