"""From the file to requests: paths, controls, presets, subjects; what cannot be is said at once."""

import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.results.lab_study import ADDED, write_study

from braindash.errors import InputError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, ProbeRequest
from braindash.studies.study import Study, Wanted


@pytest.fixture
def short(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model, seconds=SHORT_STORIES)


def test_it_expands_to_one_request_a_model_subject_and_preset(short):
    path = write_study(short)
    text = path.read_text().replace("[encode]", 'presets = ["default", "moussa2025-a"]\n[encode]')
    path.write_text(text)
    study = Study.load(path)
    asked = study.requests()
    assert len(asked) == 2 * 2 * 2
    assert next(iter(asked)) == Wanted("encoding", "small", "A", "default")
    one = asked[Wanted("encoding", "log-mel", "B", "moussa2025-a")]
    assert isinstance(one, EncodeRequest) and one.model == "acoustic:logmel"
    assert one.data == short.manifest and one.subject == "B"
    assert one.preset == "moussa2025-a" and one.score_from_row == 40, "the preset's"
    assert one.strategy == "chunk" and one.n_bootstraps == 20, "the file's"


def test_paths_are_relative_to_the_file_also_of_controls(short, quick_model, monkeypatch):
    path = write_study(short, more=ADDED)
    link = path.parent / "net"
    link.symlink_to(quick_model)
    path.write_text(path.read_text().replace(str(quick_model), "net"))
    monkeypatch.chdir("/")
    asked = Study.load(path).requests()
    models = {one.model for one in asked.values()}
    assert models == {
        str(quick_model.resolve()),
        "acoustic:logmel",
        f"untrained:{quick_model.resolve()}@3",
    }


def test_probes_are_asked_once_a_model_with_the_studys_data(short):
    path = write_study(short, more='\n[probe]\ntasks = ["energy"]\ncategories = "c.csv"\n')
    path.write_text(path.read_text().replace('role = "control"', 'role = "control"\nprobe = false'))
    asked = Study.load(path).requests()
    probes = {wanted: one for wanted, one in asked.items() if isinstance(one, ProbeRequest)}
    [(wanted, one)] = probes.items()
    assert wanted == Wanted("probing", "small") and one.tasks == ("energy",)
    assert one.data == short.manifest and one.categories == path.parent / "c.csv"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "toy"', 'name = "toy"\nsubjects = ["A", "Bb"]', "'Bb' is not in"),
        ('role = "base"', 'role = "base"\ntuned_on = ["C"]', "tuned_on names 'C'"),
        ("n_bootstraps = 20", "n_bootstraps = -1", r"\[encode\].*n_bootstraps"),
        ('strategy = "chunk"', 'strategy = "chunky"', r"\[encode\].*strategy"),
        ("lab/manifest.toml", "lab/none.toml", "none.toml"),
        ("[encode]", '[figures]\ntask = "wrod"\n[encode]', "'wrod' is no probing task"),
    ],
)
def test_what_the_data_lack_or_a_setting_cannot_be_is_said_on_loading(short, old, new, said):
    path = write_study(short)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=said):
        Study.load(path)


def test_every_model_that_is_missing_is_named_before_anything_is_planned(short, tmp_path):
    path = write_study(short)
    text = path.read_text().replace(str(short.model), "no/such/folder")
    path.write_text(text.replace("acoustic:logmel", "acoustic:logmal"))
    study = Study.load(path)
    with pytest.raises(InputError) as refused:
        study.plan(Store(tmp_path / "store"))
    told = str(refused.value)
    assert "'small'" in told and "'log-mel'" in told and "2 problems" in told
    assert "logmel" in told, "what is near"


def test_a_warning_of_many_requests_is_said_once(short, tmp_path, caplog):
    plan = Study.load(write_study(short)).plan(Store(tmp_path / "store"))
    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(plan.results) == 4 and told
    assert len(told) == len(set(told))
