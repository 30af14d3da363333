"""A distribution that brings a feature space along, laid out as pip installs one."""

from pathlib import Path

MODULE = '''
"""Made as the documentation of braindash.speech.acoustic.spaces says."""

import numpy as np

from braindash.speech.acoustic.spaces import AcousticSpace, Part


def peak(samples, first, stop):
    from braindash.speech.acoustic.spectral import WINDOW, centred

    windows = centred(samples, first, stop, WINDOW)
    return np.abs(windows).max(axis=1, keepdims=True).astype(np.float32)


SPACE = AcousticSpace(
    "peak", (Part("peak", 1, 1, {"window_seconds": 0.025}, peak),), "Peak of every 25 ms."
)
'''


def put_plugin(
    folder: Path,
    module: str = MODULE,
    *,
    name: str = "peak",
    version: str = "0.2.0",
    distribution: str = "lab_spaces",
) -> Path:
    """Write a module with its metadata into a folder for ``sys.path``; gives the folder."""
    metadata = folder / f"{distribution}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{distribution}.py").write_text(module)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    (metadata / "entry_points.txt").write_text(
        f"[braindash.spaces]\n{name} = {distribution}:SPACE\n"
    )
    return folder
