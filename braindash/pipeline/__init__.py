"""The one composer: runs the stages of each kind of work, and asks the store before each one."""

from braindash.pipeline.demo import demo_requests, run_demo
from braindash.pipeline.encoding import run_encoding, run_extraction
from braindash.pipeline.probing import run_probing
from braindash.pipeline.tasks import TASKS
from braindash.pipeline.tuning import TuningResult, run_tuning

__all__ = [
    "TASKS",
    "TuningResult",
    "demo_requests",
    "run_demo",
    "run_encoding",
    "run_extraction",
    "run_probing",
    "run_tuning",
]
