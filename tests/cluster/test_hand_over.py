"""Requests as shared jobs: what is missing, under one key, planned again elsewhere."""

import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab

from braindash.cluster.hand_over import shared_job, taken_over
from braindash.errors import InputError, JobError
from braindash.io.store import Store
from braindash.jobs.shared import SharedJobs
from braindash.requests import EncodeRequest, build_request
from braindash.work.kinds import run


@pytest.fixture
def asked(tmp_path, quick_model):
    """Requests of one lab, by subject and further fields."""
    lab = make_lab(tmp_path / "lab", quick_model, seconds=SHORT_STORIES)
    fields = {"data": lab.manifest, "model": str(lab.model), "strategy": "chunk"}
    fields |= {"alphas": (1.0, 100.0), "n_bootstraps": 5, "device": "cpu"}
    return lambda subject="A", **more: build_request(
        EncodeRequest, subject=subject, **fields | more
    )


def test_parts_that_results_share_are_there_once(asked, tmp_path):
    store = Store(tmp_path / "store")
    job = shared_job([asked("A"), asked("B")], store)
    kinds = [one.name.split()[0] for one in job.parts]
    assert kinds.count("features") == 4 and kinds.count("predictions") == 2 * 3
    assert kinds.count("encoding") == 2
    assert job.title.startswith("Encoding: ") and job.title.endswith(" and 1 more")
    assert job.made["kind"] == "encoding" and len(job.made["keys"]) == 2
    assert not SharedJobs(store.root).job_keys(), "nothing is shared by asking"


def test_the_same_requests_are_one_job_whatever_they_are_computed_with(asked, tmp_path):
    store = Store(tmp_path / "store")
    keys = {shared_job([asked(threads=threads)], store).key for threads in (None, 1, 2)}
    assert len(keys) == 1
    assert shared_job([asked(seed=1)], store).key not in keys


def test_what_is_stored_is_no_job(asked, tmp_path):
    store = Store(tmp_path / "store")
    run(asked("A"), store)
    assert shared_job([asked("A")], store) is None
    job = shared_job([asked("A"), asked("B")], store)
    assert not [one for one in job.parts if one.name.startswith("features")]


def test_another_machine_plans_the_same_parts(asked, tmp_path):
    store = Store(tmp_path / "store")
    job = shared_job([asked()], store)
    SharedJobs(store.root).add(job)
    (document,) = SharedJobs(store.root).get(job.key).requests
    again = taken_over(document, store.root)
    assert {one.name for one in job.parts} <= {one.name for one in again.parts()}


def test_data_that_changed_or_are_not_there_are_refused(asked, tmp_path):
    store = Store(tmp_path / "store")
    (document,) = shared_job([asked()], store).requests
    (tmp_path / "lab" / "responses" / "A" / "crow.hf5").unlink()
    with pytest.raises(InputError):
        taken_over(document, store.root)
    with pytest.raises(JobError, match="does not know"):
        taken_over({"command": "dream", "request": {}}, store.root)
    with pytest.raises(JobError, match="does not know"):
        taken_over({"command": "encode", "request": {"model": 3}}, store.root)
