"""The one composer: runs the stages of each kind of work, and asks the store before each one."""

from braindash.pipeline.demo import demo_requests, run_demo
from braindash.pipeline.encoding import run_encoding, run_extraction
from braindash.pipeline.probing import run_probing
from braindash.pipeline.tasks import TASKS

__all__ = ["TASKS", "demo_requests", "run_demo", "run_encoding", "run_extraction", "run_probing"]
