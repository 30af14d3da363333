"""Inputs of the families that transformers runs: Moonshine, w2v-BERT 2.0, Parakeet and AST.

Each makes what transformers' own preprocessor makes of a window, without columns that the
preprocessor adds at the end and the model is told to leave out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from braindash.speech.checkpoints.families import Family
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.checkpoints.preprocessing import SPECTRAL_HOP
from braindash.speech.geometry import geometry_of, patch_rows

# Of the spectrogram, side by side in one frame of w2v-BERT 2.0.
_COLUMNS = 2


class WholeFront:
    """Gives the model a window as it takes it; the model itself does all the rest.

    Parameters
    ----------
    module : nn.Module
        Bare encoder.
    family : Family

    Attributes
    ----------
    geometry : Geometry
    local : bool
        False: a frame depends on the whole window.
    """

    def __init__(self, module: nn.Module, family: Family) -> None:
        config: Any = module.config
        self.local = False
        self.config: Mapping[str, Any] = config.to_dict()
        self.geometry = geometry_of(family, self.config)
        self._module = module

    def inputs(self, windows: NDArray[np.float32]) -> Tensor:
        """Return the waveforms, (n_windows, n_samples)."""
        return self._sent(windows)

    def embed(self, windows: NDArray[np.float32]) -> Tensor:
        """Return what the model takes, as :meth:`inputs` does."""
        return self.inputs(windows)

    def begin(self, embedded: Tensor) -> Tensor:
        """Return it unchanged."""
        return embedded

    def frames(self, hidden: Tensor) -> Tensor:
        """Return a layer's frames, (n_windows, n_frames, n_features)."""
        return hidden

    def _sent(self, values: NDArray[Any]) -> Tensor:
        device = next(self._module.parameters()).device
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device)


class FilterbankFront(WholeFront):
    """Kaldi's log-mel spectrogram, each band normalised over the window, in pairs of columns."""

    def __init__(self, module: nn.Module, family: Family) -> None:
        import transformers

        super().__init__(module, family)
        made: Any = transformers.SeamlessM4TFeatureExtractor  # its class is not annotated
        n_bands = int(self.config["feature_projection_input_dim"]) // _COLUMNS
        self._spectrogram = made(feature_size=n_bands, num_mel_bins=n_bands)

    def inputs(self, windows: NDArray[np.float32]) -> Tensor:
        """Make spectrograms, (n_windows, n_frames, 2 n_bands)."""
        made = self._spectrogram(
            list(windows), sampling_rate=SAMPLE_RATE_HZ, return_tensors="np"
        ).input_features
        # An odd column at the end stands in a frame that the attention mask leaves out.
        return self._sent(made[:, : self.geometry.n_frames(windows.shape[1])])


class NemoFront(WholeFront):
    """NeMo's log-mel spectrogram, each band normalised over the window."""

    def __init__(self, module: nn.Module, family: Family) -> None:
        import transformers

        super().__init__(module, family)
        made: Any = transformers.ParakeetFeatureExtractor  # its class is not annotated
        self._spectrogram = made(feature_size=int(self.config["num_mel_bins"]))

    def inputs(self, windows: NDArray[np.float32]) -> Tensor:
        """Make spectrograms, (n_windows, n_columns, n_bands)."""
        made = self._spectrogram(list(windows), sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")
        # The last column lies half behind the window; the attention mask leaves it out.
        return self._sent(made.input_features[:, : windows.shape[1] // SPECTRAL_HOP])


class PatchFront(WholeFront):
    """Log-mel spectrogram of 10.24 s, in patches that overlap in time and frequency."""

    def __init__(self, module: nn.Module, family: Family, scale: Mapping[str, Any]) -> None:
        import transformers

        super().__init__(module, family)
        made: Any = transformers.ASTFeatureExtractor  # its class is not annotated
        self._spectrogram = made(
            num_mel_bins=self.config["num_mel_bins"], max_length=self.config["max_length"], **scale
        )
        self._n_rows = patch_rows(self.config)

    def inputs(self, windows: NDArray[np.float32]) -> Tensor:
        """Make spectrograms, (n_windows, n_columns, n_bands)."""
        made = self._spectrogram(
            list(windows), sampling_rate=SAMPLE_RATE_HZ, return_tensors="np"
        ).input_values
        return self._sent(made)

    def frames(self, hidden: Tensor) -> Tensor:
        """Average the patches of one time; the two tokens of the classifier are left out."""
        patches = hidden[:, 2:]
        n_times = patches.shape[1] // self._n_rows
        shape = (len(patches), self._n_rows, n_times, patches.shape[2])
        averaged: Tensor = patches.reshape(shape).mean(dim=1)
        return averaged


def whole_front(module: nn.Module, family: Family, scale: Mapping[str, Any]) -> WholeFront:
    """Make the front of a family that transformers runs.

    Parameters
    ----------
    module : nn.Module
        Bare encoder.
    family : Family
    scale : mapping
        :attr:`braindash.speech.checkpoints.locate.ModelFiles.scale`.
    """
    if family.front == "patches":
        return PatchFront(module, family, scale)
    kinds = {"fbank": FilterbankFront, "nemo": NemoFront}
    return kinds.get(family.front, WholeFront)(module, family)
