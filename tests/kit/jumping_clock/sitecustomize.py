"""The clock of this machine as it jumps by up to a day, for whichever Python has this in its path.

As when somebody corrects it again and again: ``time.time`` jumps, at the same moments and to the
same time in every process; ``time.monotonic`` goes on.
"""

import random
import time

DAY = 24 * 3600.0
_EVERY_SECONDS = 0.5
_true = time.time


def _jumping() -> float:
    now = _true()
    moment = random.Random(int(now / _EVERY_SECONDS))
    return now + moment.choice((-DAY, -3600.0, 0.0, 3600.0, DAY))


time.time = _jumping
