"""Values that formulas and requests share, and take when nothing else is said."""

from typing import Literal, get_args

Part = Literal["train", "valid", "test"]
"""What stories and units are for: to learn from, to choose by, to be scored on once."""
PARTS: tuple[Part, ...] = get_args(Part)

# 17 values from 1 to 1e8: wide enough that z-scored designs of every layer find their optimum.
DEFAULT_ALPHAS = tuple(10.0 ** (step / 2) for step in range(17))
# In TRs: the response of the blood follows the sound by some seconds.
DEFAULT_DELAYS = (1, 2, 3, 4)
