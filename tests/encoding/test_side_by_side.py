"""The parts of encodings: planned anew by whoever makes them, with what they take told before.

That several processes give what one gives is shown in tests/work/test_side_by_side.py.
"""

import numpy as np
import pytest
from kit.data.toy_lab import make_lab

from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun, remake_run
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.requests import EncodeRequest, build_request


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model)


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "strategy": "chunk"}
    fields |= {"alphas": (1.0, 100.0), "device": "cpu"}
    return build_request(EncodeRequest, **fields | changes)


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
