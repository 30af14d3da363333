"""The embedded study asks for what the demo computes, and for its further controls."""

import pytest

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
    plain = [one for one in study.requests() if not one.sweep]
    assert known <= set(asked) and len(plain) == 7 * 3 + 6
    rest = {asked[one] for one in set(asked) - known if not asked[one].sweep}
    controls = ("tuned to shuffled responses", "tuned to words")
    assert rest == {Wanted("probing", name) for name in controls} | {
        Wanted("encoding", name, subject, "default")
        for name in (*controls, "brain-tuned, adapters", "untrained", "word categories")
        for subject in ("S1", "S2", "S3")
    }


def test_its_sweeps_vary_one_setting_at_a_time(hollow_manifest):
    study = demo_study(Store(hollow_manifest.parent.parent))
    asked = {wanted: one for wanted, one in study.requests().items() if wanted.sweep}
    usual = {"n_permutations": 0, "n_bootstraps": 200, "strategy": "chunk"}
    for wanted, one in asked.items():
        assert {name: getattr(one, name) for name in usual} == usual
        assert (one.low_level == "residual") is (wanted.sweep == "low-level")
    lags = {one.delays for wanted, one in asked.items() if wanted.sweep == "lags"}
    assert lags == {(delay,) for delay in range(6)}
    shares = [
        (one.train_share, one.train_draw)
        for wanted, one in asked.items()
        if (wanted.sweep, wanted.subject, wanted.model) == ("efficiency", "S1", "pretrained")
    ]
    assert shares == [(0.2, 0), (0.2, 1), (0.6, 0), (0.6, 1), (1.0, 0)], "the whole is drawn once"


def test_its_models_are_known_with_whom_they_were_tuned_on(hollow_manifest):
    models = demo_study(Store(hollow_manifest.parent.parent)).facts()
    assert models["brain-tuned"].tuned_on == ("S1", "S2", "S3")
    assert models["brain-tuned, adapters"].rank == 8 and models["brain-tuned"].rank is None
    assert models["brain-tuned, adapters"].hours == pytest.approx(3.4)
    assert models["pretrained"].hours is None
    assert models["untrained"].tuned_on == ()
    assert models["tuned to shuffled responses"].hours == pytest.approx(3.4)
    assert models["log-mel"].parameters is models["word categories"].parameters is None
    assert models["pretrained"].parameters == models["untrained"].parameters > 1e5
