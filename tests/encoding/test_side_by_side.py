"""Several processes give what one process gives, also when one of them is killed."""

import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest
from kit.toy_lab import make_lab

from braindash import parts
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun, remake_run, run_encoding
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.requests import EncodeRequest, build_request

SEVERAL = 2  # each loads torch first; one is left when the other is killed


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model)


@pytest.fixture
def side_by_side(monkeypatch):
    """However little there is to do, it is done by several processes."""
    monkeypatch.setattr(parts, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(parts, "usable_cores", lambda: SEVERAL)


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "strategy": "chunk"}
    fields |= {"alphas": (1.0, 100.0), "device": "cpu"}
    return build_request(EncodeRequest, **fields | changes)


class Helpers:
    """Notes the processes that are at work at each report."""

    def __init__(self):
        self.seen = set()

    def advance(self, done, total, message):
        self.seen |= {one.pid for one in psutil.Process().children()}


def assert_same(found, expected):
    """Threads and processes may round differently, nothing else.

    Ties of draws may fall apart, and p follows a model of the series fitted to few rows.
    """
    assert found.key == expected.key and set(found.dataset) == set(expected.dataset)
    assert not found.dataset.attrs
    counted = {"p", "q", "p_best", "q_best", "preferred_share"}
    for name, values in expected.dataset.drop_vars("preferred_layer").items():
        tolerance = 0.01 if name in counted else 1e-5
        np.testing.assert_allclose(found.dataset[name], values, atol=tolerance, err_msg=name)


@pytest.mark.slow
def test_several_processes_give_what_one_gives_also_when_one_is_killed(
    lab, tmp_path, side_by_side, monkeypatch
):
    """In one run, most of whose time goes into loading torch in every process."""
    store, helpers, killed = Store(tmp_path / "several"), Helpers(), []
    requests = [request_for(lab, subject="A", low_level="residual"), request_for(lab, subject="B")]
    runs = [EncodingRun(plan_encoding(request), store) for request in requests]

    def kill_one() -> None:
        end = time.monotonic() + 400
        while not killed and time.monotonic() < end:
            if [*store.root.glob("features/*/checksums.json")]:
                for child in psutil.Process().children()[:1]:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_one)
    killer.start()
    carry_out(runs, helpers, device="cpu")
    killer.join()
    assert killed and len(helpers.seen) >= SEVERAL
    assert len(store.entries("features")) == 4 + 4, "subjects share them"
    assert not [*(store.root / "parts").rglob("*.nc")]
    monkeypatch.setattr(parts, "WORTH_SECONDS", 1e9)
    helpers = Helpers()
    for run, request in zip(runs, requests, strict=True):
        assert_same(run.result(), run_encoding(request, Store(tmp_path / "one"), helpers))
    assert not helpers.seen


def test_one_process_holds_the_data_of_one_run_at_a_time(lab, tmp_path):
    store = Store(tmp_path)
    runs = [EncodingRun(plan_encoding(request_for(lab, subject=one)), store) for one in "AB"]
    held = []

    class Holding:
        def advance(self, done, total, message):
            held.append([run for run in runs if "_responses" in vars(run)])

    carry_out(runs, Holding(), cores=1)
    assert {len(one) for one in held} == {0, 1} and runs[1] in held[-3]
    assert not any("_responses" in vars(run) for run in runs)


def test_a_run_that_is_planned_anew_must_be_the_same(lab, tmp_path):
    run = EncodingRun(plan_encoding(request_for(lab)), Store(tmp_path))
    order = run.order()
    assert remake_run(**order.arguments).key == run.key
    lab.edit("audio_onset = 0.0", "audio_onset = 0.5")
    with pytest.raises(InputError, match="changed while the run"):
        remake_run(**order.arguments)


def test_weights_of_the_estimates_are_told_before_anything_is_computed(lab, tmp_path):
    made = EncodingRun(plan_encoding(request_for(lab)), Store(tmp_path)).parts()
    assert all(part.seconds > 0 and part.n_bytes > 0 for part in made)
    assert len({part.name for part in made}) == len(made)
    assert np.isfinite([part.seconds for part in made]).all()
