"""The processes that train one model together: one, or what ``accelerate launch`` started."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from braindash.core.devices import find_device


class Team:
    """What a process has to know about the others.

    Gradients are summed over the processes by hand once per batch, rather than by a wrapper around
    the model: a process may then have fewer segments than the others, or repeat a batch that did
    not fit into its memory, without any of them waiting for a message that never comes.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "cuda:N"; with several processes, each has its own GPU unless this
        is "cpu".

    Attributes
    ----------
    rank, size : int
        Number of this process, and of all.
    device : torch.device
    """

    def __init__(self, device: str = "auto") -> None:
        self.rank, self.size = 0, 1
        self._state: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState

            self._state = PartialState(cpu=device == "cpu")
            self.rank = int(self._state.process_index)
            self.size = int(self._state.num_processes)
            self.device: torch.device = self._state.device
        else:
            self.device = find_device(device)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes."""
        if self.size == 1:
            return
        from accelerate.utils import reduce

        for tensor in tensors:
            summed: Any = reduce(tensor, "sum")
            tensor.copy_(summed)

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self._state is not None:
            self._state.wait_for_everyone()
