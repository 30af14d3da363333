"""The embedded demo: every result of it, in one run."""

from braindash.demo.dataset import prepare_demo
from braindash.demo.requests import demo_categories, demo_probe_requests, demo_requests
from braindash.demo.results import DemoResults, note_finished, open_finished
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.probing.plan import ProbingPlan, plan_probing
from braindash.probing.run import ProbingRun
from braindash.progress import NoProgress, Progress, said_once, shared

# About how long preparing the data and the analyses take beside each other.
_COSTS = (0.05, 0.95)


def run_demo(store: Store, progress: Progress | None = None) -> DemoResults:
    """Prepare the embedded demo and compute all its results, or load them.

    Returns
    -------
    DemoResults
    """
    report = progress or NoProgress()
    finished = open_finished(store)
    if finished is not None:
        report.advance(1, 1, "already computed")
        return finished
    preparing, computing = shared(report, _COSTS, ("demo data: ", ""))
    manifest = prepare_demo(store.demo_folder, preparing)
    demo_categories(manifest.parent)
    with said_once():
        encodings = [EncodingRun(plan_encoding(one), store) for one in demo_requests(manifest)]
        plan: ProbingPlan | None = None
        probings = []
        for request in demo_probe_requests(manifest):
            plan = plan_probing(request, plan)
            probings.append(ProbingRun(plan, store))
        carry_out([*encodings, *probings], computing)
    made = DemoResults([run.result() for run in encodings], [run.result() for run in probings])
    note_finished(store, made)
    return made
