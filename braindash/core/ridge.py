"""Cross-validated ridge regression of many targets, each with its own alpha.

Cubic work is in float64, products the size of the targets in float32, targets in blocks. See
:mod:`braindash.core.ridge_dual` and :mod:`braindash.core.ridge_primal` for the two solvers.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.core.delays import DEFAULT_DELAYS
from braindash.core.ridge_cv import Scored, TestStory, cross_validate
from braindash.core.ridge_data import (
    Fold,
    Responses,
    check_responses,
    make_design,
    make_folds,
    prepare_responses,
)
from braindash.core.ridge_dual import DualSolver
from braindash.core.ridge_primal import PrimalSolver
from braindash.errors import InputError, ResourceError, near_match

logger = logging.getLogger(__name__)

DEFAULT_ALPHAS: NDArray[np.float64] = np.logspace(0, 8, 17)
METRICS = ("r2", "r")
METHODS = ("auto", "dual", "primal")
# No alpha is solved below this share of the kernel's trace: float64 could not tell it from 0.
ALPHA_FLOOR = 1e-12
_BLOCK_COLUMNS = {"cpu": 1024, "cuda": 8192}
"""


