"""Models that a study tunes: named, tuned before what needs them, and drawn against settings."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from kit.data.annotated_lab import annotate
from kit.data.toy_lab import Lab, make_lab
from kit.results.lab_study import LAB_STUDY, write_study
from kit.results.made_up_study import study_text

from braindash import run_study
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError, TuningError
from braindash.exports.studies.items import StudyFigures, default_choice
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.studies.file import parse_study
from braindash.studies.means import probe_group_table, tuning_probe_table, tuning_table
from braindash.studies.models import MOST_TUNED
from braindash.studies.record import note_study, open_record
from braindash.studies.results import StudyResults
from braindash.studies.study import Study, Wanted
from braindash.studies.summaries import Chosen
from braindash.studies.tuned import first_hours
from braindash.tuning import data
from braindash.tuning.record import read_record
from braindash.work.studies import exported_results, import_study, queue_study, study_needs
from braindash.work.worker import _AllCommands

PLACE = Path("study.toml")
# Long enough that blocks of rows can be shuffled.
SECONDS = {"fox": 24, "crow": 23, "stone": 25, "well": 24}
SETTINGS = (
    "{{window_trs = 3, segment_trs = 8, attention_trs = 4, batch_rows = 30, encoder_rate = 1e-3}}"
)
TUNE = f"""
[[tune]]
name = "tuned"
subjects = ["A", "B"]
hours = [0.006, "all"]
steps = [2]
settings = {SETTINGS}

[probe]
tasks = ["energy"]
n_bootstraps = 20
n_shuffles = 1

[figures]
layers = "all"
"""
# The base alone beside the tuned models.
_OTHER = LAB_STUDY[LAB_STUDY.index("[[models]]", LAB_STUDY.index("[[models]]") + 1) :]
ALONE = {_OTHER: ""}
WHOLE = Chosen("default", ("all targets",), "all")
LINE = "tuned"


@pytest.fixture(scope="module")
def lab(tmp_path_factory, quick_model) -> Lab:
    return make_lab(tmp_path_factory.mktemp("tune") / "lab", quick_model, seconds=SECONDS)


@pytest.fixture(scope="module")
def path(lab):
    annotate(lab, lengths=SECONDS)
    return write_study(lab, more=TUNE, **ALONE)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def results(path, store):
    return run_study(path, store=store)


# ---- what the file says -------------------------------------------------------------------------


def tables_of(more: str):
    return parse_study(study_text(more=f"[[tune]]\nname = 'new'\n{more}\n"), PLACE)


def test_every_combination_is_a_model_named_by_what_differs():
    asked = "subjects = ['S1', 'S2']\ncontrols = ['none', 'shuffled']\nranks = ['full', 8]"
    tables = tables_of(asked)
    names = [one.name for one in tables.all_models if one.name in tables.variants]
    assert len(names) == 8 and names[0] == "new: brain, all weights, S1"
    last = tables.model("new: shuffled, rank 8, S2")
    assert (last.role, last.base, last.tuned_on) == ("control", "base", ("S2",))
    assert last.group == "new: shuffled, rank 8"
    assert ("new: brain, rank 8, S1", "base") in tables.pairs
    assert tables.tune[0].varied() == ("rank",)
    [alone] = tables_of("subjects = 'S1'").variants
    assert alone == "new", "nothing differs"
    [both] = tables_of("subjects = ['S1', 'S2']\ntogether = true").variants.values()
    assert both.subjects == ("S1", "S2")


def test_a_control_without_responses_is_tuned_once_and_takes_what_is_its_own():
    more = (
        "subjects = ['S1', 'S2']\ncontrols = ['none', 'text', 'stimulus']\nranks = ['full', 4]\n"
        "settings = {words = 'vectors.txt', alpha = 8.0, epochs = 3}"
    )
    tables = tables_of(more)
    variants = tables.variants
    assert sum(one.control == "none" for one in variants.values()) == 4
    assert sum(one.control == "text" for one in variants.values()) == 2, "one of every rank"
    assert tables.model("new: stimulus, rank 4").tuned_on is None
    fields = {name: tables.tune[0].fields(one) for name, one in variants.items()}
    assert {name for name, one in fields.items() if "words" in one} == {
        "new: text, all weights",
        "new: text, rank 4",
    }
    full, adapted = fields["new: stimulus, all weights"], fields["new: stimulus, rank 4"]
    assert full["method"] == "full" and "alpha" not in full and "rank" not in full
    assert (adapted["method"], adapted["rank"], adapted["alpha"]) == ("lora", 4, 8.0)
    assert full["epochs"] == adapted["epochs"] == 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "lacks the field 'subjects'"),
        ("subjects = 'S1'\ncontrol = 'none'", "'control'.*Did you mean 'controls'"),
        ("subjects = 'S1'\ncontrols = ['brain']", "controls"),
        ("subjects = 'S1'\nranks = [0]", "ranks"),
        ("subjects = 'S1'\nhours = [-1.0]", "hours"),
        ("subjects = 'S1'\nlosses = []", "losses"),
        ("subjects = 'S1'\nmodels = ['bse']", "tunes 'bse'.*Did you mean 'base'"),
        ("subjects = 'S1'\nsettings = {epoch = 3}", "'epoch'.*Did you mean 'epochs'"),
        ("subjects = 'S1'\nsettings = {control = 'text'}", "'control'"),
        ("subjects = 'S1'\nsteps = " + str(list(range(1, 70))), f"69 tuned.*most {MOST_TUNED}"),
        ("subjects = 'S1'\n[[tune]]\nname = 'new'\nsubjects = 'S1'", "2 models are named 'new'"),
    ],
)
def test_a_bad_table_is_named_with_what_is_allowed(more, said):
    with pytest.raises(InputError) as refused:
        tables_of(more)
    assert re.search(said, str(refused.value), re.DOTALL), str(refused.value)


def test_what_the_data_or_the_tuner_refuse_is_said_before_anything_runs(lab, tmp_path):
    def refused(old: str, new: str) -> str:
        path = write_study(lab, more=TUNE.replace(old, new))
        with pytest.raises(InputError) as error:
            Study.load(path).plan(Store(tmp_path / "store"))
        return str(error.value)

    assert "[[tune]] 'tuned' subjects names 'C'" in refused('["A", "B"]', '["A", "C"]')
    told = refused("[0.006,", "[0.5,")
    assert "hours = 0.5, but A has 0.0125 hours in 2 training stories" in told
    assert "[[tune]] 'tuned'" in refused("batch_rows = 30", "batch_rows = 0")
    assert "belong together" in refused("steps = [2]", 'controls = ["text"]')
    write_study(lab, more=TUNE, **ALONE)


def test_fewer_hours_lie_in_more():
    rng = np.random.default_rng(0)
    lengths = rng.uniform(0.05, 0.3, size=12).tolist()
    for draw in range(3):
        order, before = np.random.default_rng(draw).permutation(12), set()
        for hours in (0.01, 0.5, 1.0, 9.0):
            chosen = first_hours(lengths, hours, draw)
            sums = [sum(lengths[one] for one in order[: n + 1]) for n in range(12)]
            n_best = min(range(12), key=lambda n: abs(sums[n] - hours)) + 1
            assert before <= chosen == set(order[:n_best].tolist())
            before = chosen


# ---- carried out --------------------------------------------------------------------------------


def test_models_are_tuned_first_and_then_are_like_any_other(results, path, store, monkeypatch):
    names = [name for name, one in results.models.items() if one.tuned_on]
    assert len(names) == 4 and not results.missing and not results.notes
    assert all(("default", name) in results.groups for name in names)
    plan = Study.load(path).plan(store)
    assert not plan.missing and not plan.waiting
    tuned = {one.wanted.model: one for one in plan.results if one.wanted.kind == "tuning"}
    for name, one in tuned.items():
        group = results.groups["default", name]
        entry = store.get("tuning", one.key)
        record = read_record(store.root / entry.provenance["model_folder"])
        assert group.first.provenance["model"]["fingerprint"] == record["fingerprint"]
        assert record["steps"]["kept"] == 2
        assert record["stories"]["validation"] == {"stone": 24}, "of few hours too"
        few = "0.006" in name
        assert list(record["stories"]["train"]) == (["crow"] if few else ["crow", "fox"])
        assert results.models[name].hours == pytest.approx((22 if few else 45) / 3600)
    whole = tuned["tuned: all hours, A"].plan.request
    assert whole.train == () and whole.validation == (), "keys are those of `braindash tune`"

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is tuned again")

    monkeypatch.setattr("braindash.tuning.run.TuningRun._tune", never)
    made = _AllCommands()["study"]({"file": str(path)}, store.root, NoProgress())
    assert made["kind"] == "encoding" and set(made["keys"]) < set(results.keys)
    assert len(set(made["keys"])) == 2 * (1 + 4)


def test_curves_are_of_the_model_that_is_tuned_on_each_subject(results, store):
    table = tuning_table(results, results.tables.tune[0], "hours", WHOLE)
    assert list(table["model"]) == [LINE] * 2 and list(table["n_subjects"]) == [2, 2]
    np.testing.assert_allclose(table["setting_number"], [22 / 3600, 45 / 3600])
    record = open_record("toy", store)

    def score(model: str, subject: str) -> float:
        key = record.keys[Wanted("encoding", model, subject, "default")]
        found = EncodingResult.load(store.get("encoding", key))
        return float(np.nanmean(found.r, axis=1).mean())

    for row, hours in zip(table.itertuples(), ("0.006 h", "all hours"), strict=True):
        own = [score(f"tuned: {hours}, {name}", name) for name in "AB"]
        others = [score(f"tuned: {hours}, {a}", b) for a, b in ("AB", "BA")]
        assert row.alignment == pytest.approx(np.mean(own), abs=1e-6)
        assert row.se == pytest.approx(abs(own[0] - own[1]) / 2, abs=1e-6)
        assert row.others == pytest.approx(np.mean(others), abs=1e-6)
        before = np.mean([score("small", name) for name in "AB"])
        assert row.base == pytest.approx(before, abs=1e-6)
    assert tuning_table(results, results.tables.tune[0], "rank", WHOLE)["model"].nunique() == 2


def test_probes_of_tuned_models_have_a_mean_with_its_standard_error(results, store):
    record = open_record("toy", store)

    def scores(model: str) -> tuple[np.ndarray, np.ndarray]:
        one = ProbingResult.load(store.get("probing", record.keys[Wanted("probing", model)]))
        return one.score("energy"), one.chance("energy")

    table = tuning_probe_table(results, results.tables.tune[0], "hours", WHOLE)
    means, notes = probe_group_table(results)
    assert not notes and list(means["model"].unique()) == [
        "small",
        "tuned: 0.006 h",
        "tuned: all hours",
    ]
    for row, hours in zip(table.itertuples(), ("0.006 h", "all hours"), strict=True):
        found = [scores(f"tuned: {hours}, {name}") for name in "AB"]
        above = [float(((score - low) / (1 - low)).mean()) for score, low in found]
        assert row.alignment == pytest.approx(np.mean(above))
        assert row.se == pytest.approx(np.std(above, ddof=1) / np.sqrt(2))
        own = means[means["model"] == f"tuned: {hours}"].sort_values("layer")
        both = np.stack([score for score, _ in found])
        np.testing.assert_allclose(own["score"], both.mean(axis=0))
        np.testing.assert_allclose(own["se"], both.std(axis=0, ddof=1) / np.sqrt(2))
    alone = means[means["model"] == "small"]
    assert alone["se"].isna().all() and (alone["n_models"] == 1).all()


def test_the_figures_draw_curves_and_means(results, store):
    figures = StudyFigures(results, default_choice(results), store)
    assert {"tuning-curves", "probe-curves", "transfer"} <= set(figures.names)
    assert "against-hours" not in figures.names, "curves draw these"
    items = figures.make("tuning-curves")
    assert [one.name for one in items] == ["tuning-tuned-hours", "tuning-tuned-hours-probes"]
    curve = next(one for one in items[0].figure.data if one.mode == "lines+markers")
    np.testing.assert_allclose(curve.y, items[0].table["alignment"])
    assert items[0].figure.layout.xaxis.title.text == "Hours of responses per subject"
    assert items[0].figure.layout.shapes[0].y0 == pytest.approx(items[0].table["base"].iloc[0])
    [probes] = figures.make("probe-curves")
    lines = {one.name for one in probes.figure.data if one.mode == "lines+markers"}
    assert {"small", "tuned: 0.006 h", "tuned: all hours"} <= lines
    assert "standard error" in " ".join(probes.source.details)
    [matrix] = figures.make("transfer")
    rows = [f"tuned: {hours}, {name}" for hours in ("0.006 h", "all hours") for name in "AB"]
    assert list(matrix.figure.data[0].y) == rows, "the subject is named once"


# ---- waiting, queued, shared --------------------------------------------------------------------


def test_what_waits_is_listed_queued_behind_and_not_estimated(path, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda queue: None)
    store, study = Store(tmp_path / "store"), Study.load(path)
    plan = study.plan(store)
    assert len(plan.untuned) == 4 and len(plan.waiting) == 4 * 2 + 4
    assert "0 of 19 results are stored" in plan.lines()
    assert "12 results of models that are tuned first" in study_needs(plan, store).lines()[0]
    jobs = queue_study(plan, store)
    commands = [job.command for job in jobs]
    assert commands == ["tune"] * 4 + ["encode"] * 2 + ["probe", "study"]
    assert len(queue_study(plan, store)) == len(JobQueue(store.root).list()) == 8
    record = note_study(plan, store)
    again = open_record("toy", store)
    assert again.waiting == plan.waiting and again.n_results == 19
    assert set(again.missing(store)) == {*record.keys, *record.waiting}


def test_one_that_cannot_be_tuned_is_named_and_leaves_the_others(lab, tmp_path, monkeypatch):
    one_each = TUNE.replace('["A", "B"]', '["A"]').replace('hours = [0.006, "all"]', "")
    more = one_each.replace("steps = [2]", 'controls = ["none", "shuffled"]\nsteps = [1]')
    text = more.replace("[probe]", "[unread]").partition("[unread]")[0]
    path = write_study(lab, more=text, **ALONE, **{"[encode]": 'subjects = "A"\n[encode]'})

    def refuse(*_: object) -> None:
        raise InputError("too few blocks to shuffle", hint="Take another control.")

    monkeypatch.setattr(data, "_shuffled", refuse)
    store = Store(tmp_path / "store")
    found = run_study(path, store=store)
    assert ("default", "tuned: brain") in found.groups
    assert [one.model for one in found.missing] == ["tuned: shuffled"] * 2
    assert "tuning of tuned: shuffled is left out: too few blocks" in found.notes[0]
    with pytest.raises(TuningError, match="2 results of the study are missing") as refused:
        _AllCommands()["study"]({"file": str(path)}, store.root, NoProgress())
    assert "Take another control" in refused.value.hint
    write_study(lab, more=TUNE, **ALONE)


def test_a_shared_study_opens_without_its_tuned_models(results, store, tmp_path):
    record = open_record("toy", store)
    other = Store(tmp_path / "other")
    exported_results(record, store, tmp_path / "shared" / "results")
    (tmp_path / "shared" / "study.json").write_text(json.dumps(record.shared()))
    taken, _ = import_study(tmp_path / "shared", other)
    found = StudyResults.open(taken, other)
    assert not found.missing and found.keys == results.keys
    assert not list(other.root.glob(f"models/*/{TUNING_RECORD}"))
    assert isinstance(found.groups["default", "small"].first, EncodingResult)
