"""Several processes give what one process gives, also when one of them is killed."""

import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest
from kit.data.spoken_corpus import make_corpus
from kit.data.toy_lab import make_lab
from kit.machines.rounding import assert_same_scores

from braindash import parts
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun, run_encoding
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.probing.plan import plan_probing
from braindash.probing.run import ProbingRun, run_probing
from braindash.requests import EncodeRequest, ProbeRequest, build_request

SEVERAL = 2  # each loads torch first; one is left when the other is killed
PROBED = ("score", "low", "high", "samples", "chance_shuffled", "metrics")


@pytest.fixture
def encodings(tmp_path, quick_model):
    lab = make_lab(tmp_path / "lab", quick_model)
    fields = {"data": lab.manifest, "model": str(lab.model), "strategy": "chunk", "device": "cpu"}
    fields["alphas"] = (1.0, 100.0)
    return [
        build_request(EncodeRequest, **fields, subject="A", low_level="residual"),
        build_request(EncodeRequest, **fields, subject="B"),
    ]


@pytest.fixture
def probing(tmp_path, quick_model):
    corpus = make_corpus(tmp_path / "corpus")
    fields = {"data": corpus.manifest, "model": str(quick_model), "categories": corpus.categories}
    fields |= {"n_shuffles": 3, "n_bootstraps": 50, "strategy": "chunk", "device": "cpu"}
    return build_request(ProbeRequest, **fields)


def children() -> set[int]:
    return {one.pid for one in psutil.Process().children()}


class Helpers:
    """Notes the processes that are at work at each report; other tests may have left some."""

    def __init__(self):
        self.seen, self.before = set(), children()

    def advance(self, done, total, message):
        self.seen |= children() - self.before


def kill_one(store, killed, before):
    """Kill a process that makes parts as soon as the features of a story are there."""
    end = time.monotonic() + 400
    while not killed and time.monotonic() < end:
        if [*store.root.glob("features/*/checksums.json")]:
            for child in sorted(children() - before)[:1]:
                os.kill(child, signal.SIGKILL)
                killed.append(child)
        time.sleep(0.02)


def assert_same_encoding(found, expected):
    """Threads and processes may round differently, nothing else."""
    assert found.key == expected.key
    assert not found.dataset.attrs
    assert_same_scores(found.dataset, expected.dataset)


def assert_same_probing(found, expected):
    assert found.key == expected.key
    for name in PROBED:
        np.testing.assert_allclose(
            found.dataset[name], expected.dataset[name], atol=1e-5, err_msg=name
        )
    told = ("tasks", "recordings", "parents", "warnings")
    assert {name: found.provenance[name] for name in told} == {
        name: expected.provenance[name] for name in told
    }


@pytest.mark.slow
def test_several_processes_give_what_one_gives_also_when_one_is_killed(
    encodings, probing, tmp_path, monkeypatch
):
    """In one run, most of whose time goes into loading torch in every process."""
    monkeypatch.setattr(parts, "WORTH_SECONDS", 0.0)  # however little there is to do
    monkeypatch.setattr(parts, "usable_cores", lambda: SEVERAL)
    store, helpers, killed = Store(tmp_path / "several"), Helpers(), []
    runs = [EncodingRun(plan_encoding(request), store) for request in encodings]
    probed = ProbingRun(plan_probing(probing), store)
    killer = threading.Thread(target=kill_one, args=(store, killed, helpers.before))
    killer.start()
    carry_out([*runs, probed], helpers, device="cpu")
    killer.join()
    assert killed and len(helpers.seen) >= SEVERAL
    assert len(store.entries("features")) == 4 + 4, "subjects share them"
    assert not [*(store.root / "parts").rglob("*.nc")]
    monkeypatch.setattr(parts, "WORTH_SECONDS", 1e9)
    helpers, one = Helpers(), Store(tmp_path / "one")
    for run, request in zip(runs, encodings, strict=True):
        assert_same_encoding(run.result(), run_encoding(request, one, helpers))
    assert_same_probing(probed.result(), run_probing(probing, one, helpers))
    assert not helpers.seen
