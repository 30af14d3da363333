"""Values that formulas and requests take when nothing else is said."""

# 17 values from 1 to 1e8: wide enough that z-scored designs of every layer find their optimum.
DEFAULT_ALPHAS = tuple(10.0 ** (step / 2) for step in range(17))
# In TRs: the response of the blood follows the sound by some seconds.
DEFAULT_DELAYS = (1, 2, 3, 4)
