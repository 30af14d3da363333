"""The region set on the pages: one choice for all, in the session and in the address."""

import pytest
from kit.data.region_files import label_home, put_hcp
from kit.results.made_up_store import empty_root, filled_root
from kit.results.region_results import put_predicted
from kit.results.statistics_store import figures
from kit.site.pages import run, texts
from streamlit.testing.v1 import AppTest

import braindash
from braindash.io.regions.groups import MOUSSA_NEURIPS
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.progress import NoProgress
from braindash.sharing.settings import READ_ONLY
from braindash.work.regions import run_queued_regions

__all__ = ["empty_root", "filled_root", "label_home"]


@pytest.fixture
def without_worker(monkeypatch):
    """Let jobs wait: no process is started."""
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: None)


def curves(app: AppTest) -> set[str]:
    return {trace.get("name") for trace in figures(app)[0]["data"]} - {None}


def menu(app: AppTest, key: str):
    return app.selectbox(key=key)


def test_discs_alone_where_nothing_is_given(filled_root, label_home):
    app = run("explore/layers")
    assert not app.exception
    assert menu(app, "set").value == "discs" and len(menu(app, "set").options) == 1
    assert menu(app, "hemisphere").options == ["both", "left", "right"]
    assert "published coordinate" in texts(app)


def test_a_set_and_a_side_change_on_every_page_at_once(filled_root, label_home):
    put_hcp(label_home)
    app = run("explore/layers")
    assert not app.exception and menu(app, "set").value == "moussa2025-neurips"
    assert "Early auditory" in str(app.multiselect(key="regions").options)
    menu(app, "set").set_value("auditory-hierarchy").run()
    assert not app.exception
    assert "Auditory core" in curves(app) and app.query_params["set"] == "auditory-hierarchy"
    menu(app, "hemisphere").set_value("right").run()
    assert not app.exception and "right hemisphere" in texts(app)
    for page in ("overview", "cortex", "compare", "layers"):
        app.switch_page(f"pages/explore/{page}.py").run()
        assert not app.exception, page
        assert menu(app, "set").value == "auditory-hierarchy", page
        assert menu(app, "hemisphere").value == "right", page
        assert "auditory-hierarchy" in texts(app) and "right hemisphere" in texts(app), page
    app.switch_page("pages/explore/data.py").run()
    assert not app.exception and menu(app, "set").value == "auditory-hierarchy"


def test_the_address_names_the_set_and_the_side(filled_root, label_home):
    put_hcp(label_home)
    app = run("explore/cortex", set="hcp-mmp1", hemisphere="left", model="toy-tuned")
    assert not app.exception
    assert menu(app, "set").value == "hcp-mmp1" and "left hemisphere" in texts(app)
    assert "hcp-mmp1: HCP-MMP1 areas" in texts(app)


def test_an_address_with_a_set_whose_file_is_not_here_says_which(filled_root, label_home):
    app = run("explore/layers", set="hcp-mmp1")
    assert not app.exception and menu(app, "set").value == "discs"
    assert "lh.HCPMMP1.annot" in texts(app) and str(label_home) in texts(app)
    app = run("explore/layers", set="nonsense")
    assert not app.exception and "no region set 'nonsense'" in texts(app)


def test_a_set_of_another_data_set_is_left_for_what_there_is(empty_root, label_home):
    from kit.results.made_up import put_result

    put_hcp(label_home)
    put_result(Store(empty_root), space="roi")
    app = run("explore/layers", set="hcp-mmp1", hemisphere="left")
    assert not app.exception and menu(app, "set").value == "discs"
    assert menu(app, "hemisphere").value == "both" and "fsaverage" in texts(app)


def test_intervals_are_made_by_the_worker_and_then_shown(empty_root, label_home, without_worker):
    put_hcp(label_home)
    store = Store(empty_root)
    result = put_predicted(store)
    app = run("explore/layers", set="moussa2025-neurips")
    assert not app.exception
    assert "without intervals" in texts(app)  # means at once
    (job,) = JobQueue(empty_root).list()
    assert job.command == "regions" and job.request["regions"] == "moussa2025-neurips"
    app.run()
    assert len(JobQueue(empty_root).list()) == 1  # asked for once
    run_queued_regions(job.request, store, NoProgress())
    app = run("explore/layers", set="moussa2025-neurips")
    assert not app.exception and "made from the stored predictions" not in texts(app)
    assert any(trace.get("fill") == "toself" for trace in figures(app)[0]["data"])
    expected = braindash.with_regions(result, "moussa2025-neurips").region_intervals()
    table = app.dataframe[-1].value if len(app.dataframe) else None
    assert table is not None and len(expected) == 2 * (1 + len(MOUSSA_NEURIPS))


def test_intervals_are_not_asked_for_by_who_only_looks(empty_root, label_home, monkeypatch):
    put_hcp(label_home)
    put_predicted(Store(empty_root))
    monkeypatch.setenv(READ_ONLY, "1")
    app = run("explore/layers", set="moussa2025-neurips")
    assert not app.exception and not app.error
    assert "`braindash show KEY --regions moussa2025-neurips`" in texts(app)
    assert JobQueue(empty_root).list() == ()


def test_a_job_that_failed_is_told_and_not_asked_for_again(empty_root, label_home, without_worker):
    put_hcp(label_home)
    put_predicted(Store(empty_root))
    run("explore/layers", set="hcp-mmp1")
    queue = JobQueue(empty_root)
    (job,) = queue.list()
    queue.cancel(job.key)
    app = run("explore/layers", set="hcp-mmp1")
    assert not app.exception and "could not be computed" in texts(app)
    assert [one.state for one in queue.list()] == ["cancelled"]


# ---- the page Data --------------------------------------------------------------------------


def test_the_page_data_shows_a_set_on_the_brain(empty_root, label_home):
    put_hcp(label_home)
    app = run("explore/data", set="hcp-mmp1")
    assert not app.exception
    assert "Glasser" in texts(app) and "WU-Minn HCP" in app.text[0].value
    sizes, sets = app.dataframe[0].value, app.dataframe[1].value
    assert list(sizes.columns) == ["number", "region", "both", "left", "right"]
    assert len(sizes) == 180 and (sizes["both"] == sizes["left"] + sizes["right"]).all()
    assert set(sets["set"]) >= {"discs", "hcp-mmp1", "destrieux", "lana-10", "schaefer-400"}
    row = sets.set_index("set").loc["destrieux"]
    assert "lh.aparc.a2009s.annot" in row["needs"]


def test_the_page_data_says_what_a_set_needs(empty_root, label_home):
    app = run("explore/data", set="moussa2025-iclr")
    assert not app.exception
    assert "lh.HCPMMP1.annot" in texts(app) and "regions fetch moussa2025-iclr" in texts(app)
    assert not list(label_home.rglob("*.annot"))  # nothing is fetched unasked
    app = run("explore/data", set="lana-7.5")
    assert not app.exception and "LH_LanA_n804.nii.gz" in texts(app)
    app = run("explore/data", set="nonsense")
    assert not app.exception and "no region set 'nonsense'" in texts(app)
