"""The embedded study asks for what the demo computes, and for its further controls."""

from braindash.demo.requests import demo_probe_requests, demo_requests
from braindash.demo.study import demo_study
from braindash.io.store import Store
from braindash.studies.study import Wanted


def test_after_the_demo_only_its_further_models_are_missing(hollow_manifest):
    store = Store(hollow_manifest.parent.parent)
    study = demo_study(store)
    asked = {one.model_dump_json(): wanted for wanted, one in study.requests().items()}
    of_demo = [*demo_requests(hollow_manifest), *demo_probe_requests(hollow_manifest)]
    known = {one.model_dump_json() for one in of_demo}
    assert known <= set(asked) and len(asked) == 4 * 3 + 4
    rest = {asked[one] for one in set(asked) - known}
    assert rest == {
        Wanted("encoding", name, subject, "default")
        for name in ("brain-tuned, adapters", "untrained")
        for subject in ("S1", "S2", "S3")
    }


def test_its_models_are_known_with_whom_they_were_tuned_on(hollow_manifest):
    models = demo_study(Store(hollow_manifest.parent.parent)).facts()
    assert models["brain-tuned"].tuned_on == ("S1", "S2", "S3")
    assert models["untrained"].tuned_on == ()
    assert models["log-mel"].parameters is None
    assert models["pretrained"].parameters == models["untrained"].parameters > 1e5
