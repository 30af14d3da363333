"""Studies carried out: nothing stored is made again, a new model adds its own work, all resumes."""

from collections import Counter

import numpy as np
import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.results.lab_study import ADDED, write_study

from braindash import run_study
from braindash.encoding.result import EncodingResult
from braindash.errors import Cancelled, InputError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.progress import NoProgress
from braindash.speech.checkpoints.locate import locate
from braindash.studies.record import open_record
from braindash.studies.study import Study
from braindash.work.needs import encoding_needs
from braindash.work.studies import queue_study, study_needs


class Counted:
    """Counts what is put into stores: whole results and parts of them."""

    def __init__(self, monkeypatch) -> None:
        self.made: Counter[tuple[str, ...]] = Counter()
        put_file, put_part = Store.put_file, Store.put_part

        def whole(store, kind, key, **content):
            self.made[kind, key] += 1
            return put_file(store, kind, key, **content)

        def part(store, kind, key, name, dataset):
            self.made[kind, key, name] += 1
            return put_part(store, kind, key, name, dataset)

        monkeypatch.setattr(Store, "put_file", whole)
        monkeypatch.setattr(Store, "put_part", part)

    def take(self) -> Counter[tuple[str, ...]]:
        found, self.made = self.made, Counter()
        return found


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model, seconds=SHORT_STORIES)


def test_a_model_that_is_added_adds_only_its_own_work(lab, tmp_path, monkeypatch):
    store, counted = Store(tmp_path / "store"), Counted(monkeypatch)
    first = run_study(write_study(lab), store=store)
    made = counted.take()
    assert max(made.values()) == 1, "what subjects share is made once"
    kinds = Counter(place[0] for place in made if len(place) == 2)
    assert kinds["encoding"] == 4 and kinds["features"] == 2 * 4, "four stories, two models"
    assert len(first.keys) == 4 and not first.missing

    run_study(write_study(lab), store=store)
    assert not counted.take(), "all is stored"

    path = write_study(lab, more=ADDED)
    plan = Study.load(path).plan(store)
    assert [one.wanted.model for one in plan.missing] == ["untrained"] * 2
    needs = study_needs(plan, store)
    assert needs.n_missing == 2 and needs.seconds > 0 and len(needs.lines()) >= 1
    grown = run_study(path, store=store)
    added = counted.take()
    kinds = Counter(place[0] for place in added if len(place) == 2)
    assert kinds["encoding"] == 2 and kinds["features"] == 4 and not set(added) & set(made)
    own = locate(f"untrained:{lab.model}@3").fingerprint
    for kind, key in (place for place in added if len(place) == 2):
        entry = store.get(kind, key)
        assert entry.provenance["model"]["fingerprint"] == own, "only the new model's work"
    assert set(first.keys) < set(grown.keys)
    assert list(grown.of("default")) == ["small", "log-mel", "untrained"]


class Impatient(NoProgress):
    """Cancels after so many reports."""

    def __init__(self, patience: int) -> None:
        self.left = patience

    def advance(self, done, total, message):
        self.left -= 1
        if self.left < 0:
            raise Cancelled


def test_it_goes_on_after_an_interruption_and_gives_the_same(lab, tmp_path, monkeypatch):
    path, counted = write_study(lab), Counted(monkeypatch)
    whole = run_study(path, store=tmp_path / "whole")
    n_parts = sum(counted.take().values())
    store = Store(tmp_path / "torn")
    with pytest.raises(Cancelled):
        run_study(path, store=store, progress=Impatient(40))
    before = counted.take()
    assert 0 < sum(before.values()) < n_parts, "it was stopped on the way"
    assert open_record("toy", store).missing(store), "it is listed already, with what is missing"
    again = run_study(path, store=store)
    after = counted.take()
    assert not set(before) & set(after), "nothing is made twice"
    assert again.keys == whole.keys
    for key in again.keys:
        one, two = (EncodingResult.load(Store(root).get("encoding", key))
                    for root in (tmp_path / "whole", store.root))  # fmt: skip
        np.testing.assert_array_equal(one.r, two.r)


def test_missing_results_are_queued_each_once(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda queue: None)
    store = Store(tmp_path / "store")
    plan = Study.load(write_study(lab)).plan(store)
    jobs = queue_study(plan, store)
    assert [job.key for job in jobs] == [one.key for one in plan.missing] and len(jobs) == 4
    queue_study(plan, store)
    assert len(JobQueue(store.root).list()) == 4


def test_what_results_share_is_estimated_once(lab, tmp_path):
    store = Store(tmp_path / "store")
    plan = Study.load(write_study(lab)).plan(store)
    alone = sum(encoding_needs(one.plan, store).disk_needed for one in plan.missing)
    of_a = [one.plan for one in plan.missing if one.wanted.subject == "A"]
    features = sum(4 * one.model.n_layers * one.model.n_features * sum(one.n_rows) for one in of_a)
    assert study_needs(plan, store).disk == pytest.approx(alone - features), "B's are those of A"


def test_a_region_set_that_is_none_is_refused_before_anything_is_computed(lab, tmp_path):
    more = '\n[figures]\nregions = "moussa2025-neuripz"\n'
    store = Store(tmp_path / "store")
    with pytest.raises(InputError, match="neuripz") as refused:
        run_study(write_study(lab, more=more), store=store)
    assert "moussa2025-neurips" in str(refused.value)
    assert not (store.root / "encoding").exists()
