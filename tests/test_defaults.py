"""Protocols of papers: what they set, what stays, what is told, and keys that do not move."""

import numpy as np
import pytest
from kit.data.toy_lab import make_lab
from typer.testing import CliRunner

import braindash
from braindash.cli import app
from braindash.defaults import (
    _DEFAULTS,
    DEFAULT_ALPHAS,
    PRESETS,
    difference_lines,
    differences,
    probe_difference_lines,
    probe_differences,
    with_preset,
)
from braindash.encoding.plan import plan_encoding
from braindash.encoding.seen import wanted_set
from braindash.errors import InputError
from braindash.probing.tasks import PROBE_TASKS
from braindash.requests import EncodeRequest, ProbeRequest, build_request
from braindash.specs import EncodingSpec

PAPERS = [name for name in PRESETS if name != "default"]


def request_for(**fields):
    return build_request(EncodeRequest, data="m.toml", model="m", subject="A", **fields)


def test_defaults_are_those_of_the_request():
    for name, value in _DEFAULTS.items():
        assert EncodeRequest.model_fields[name].default == value
    assert request_for() == request_for(preset="default")


@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_is_the_papers_protocol(name):
    request = request_for(preset=name)
    # logspace(1, 4, 15) of singular values, which that code squares.
    np.testing.assert_allclose(request.alphas, np.logspace(1, 4, 15) ** 2)
    np.testing.assert_allclose(request.alphas, np.logspace(2, 8, 15))
    assert request.delays == (1, 2, 3, 4) and request.score_from_row == 40
    assert request.ceiling_threshold == 0.4
    assert PRESETS[name].region_set in ("moussa2025-neurips", "moussa2025-iclr")


def test_each_paper_has_its_regions_and_a_says_whose_they_are():
    assert PRESETS["moussa2025-a"].region_set == "moussa2025-neurips"
    assert PRESETS["moussa2025-b"].region_set == "moussa2025-iclr"
    assert PRESETS["moussa2025-c"].region_set == "moussa2025-neurips"
    assert "in words only" in " ".join(difference_lines("moussa2025-a"))
    assert "in words only" not in " ".join(difference_lines("moussa2025-c"))


def test_what_is_given_stays_and_a_request_means_the_same_when_it_is_read_again():
    request = request_for(preset="moussa2025-b", alphas=[3.0], score_from_row=5)
    assert request.alphas == (3.0,) and request.score_from_row == 5
    assert request.ceiling_threshold == 0.4
    again = EncodeRequest.model_validate_json(request.model_dump_json())
    assert again == request
    assert with_preset({"preset": ["no", "name"]}) == {"preset": ["no", "name"]}
    with pytest.raises(InputError, match="preset"):
        request_for(preset="moussa2025-d")


def test_what_is_given_stays_also_where_it_is_the_default():
    request = request_for(preset="moussa2025-b", alphas=list(DEFAULT_ALPHAS), delays=None)
    assert request.alphas == DEFAULT_ALPHAS and request.delays == (1, 2, 3, 4)
    assert request.score_from_row == 40
    told = difference_lines("moussa2025-b", request.model_dump())
    assert any("17 from 1 to 1e+08 (as given; the preset's: 15" in line for line in told)
    plain = request_for(preset="moussa2025-b", alphas=None, score_from_row=None)
    assert plain == request_for(preset="moussa2025-b")


def test_every_setting_of_a_preset_is_told_beside_the_default():
    for name in PAPERS:
        found = differences(name)
        lacking = bool(PRESETS[name].not_reproduced)
        assert len(found) == len(PRESETS[name].settings) + 1 + lacking
        told = "\n".join(difference_lines(name))
        for title, own, default in found:
            assert title in told and own in told and (own == default or default in told)
        assert "15 from 100 to 1e+08" in told and "17 from 1 to 1e+08" in told
        assert "row 40" in told and "0.4 for every ceiling" in told
        assert "after trimming" in told and "(as by default)" in told
    assert not differences("default") and not difference_lines("default")


def test_what_is_run_is_told_where_it_is_not_the_presets():
    request = request_for(preset="moussa2025-a", delays=[1, 2, 3, 4, 5], ceiling_threshold=0.2)
    told = difference_lines("moussa2025-a", request.model_dump())
    delays = next(line for line in told if line.startswith("  delays"))
    assert delays.startswith("  delays: 1, 2, 3, 4, 5 TR") and "as by default" not in delays
    assert "as given; the preset's: 1, 2, 3, 4 TR" in delays
    assert any("0.2 for every ceiling (as given" in line for line in told)
    as_it_is = request_for(preset="moussa2025-a").model_dump()
    assert difference_lines("moussa2025-a", as_it_is) == difference_lines("moussa2025-a")


def test_what_a_preset_does_not_reproduce_is_told():
    told = difference_lines("moussa2025-a")[-1]
    assert "not reproduced" in told and "16 s" in told and "10 s" in told
    assert "not reproduced" not in " ".join(difference_lines("moussa2025-c"))


def test_the_default_protocol_keeps_its_keys(lab):
    """Fields that were added leave the canonical form while they have their historical value."""
    plain = plan_encoding(EncodeRequest(data=lab.manifest, model=str(lab.model), subject="A"))
    assert "ceiling_threshold" not in plain.spec.canonical()
    changed = plain.spec.model_copy(update={"ceiling_threshold": 0.4})
    assert changed.canonical()["ceiling_threshold"] == 0.4 and changed.key() != plain.spec.key()
    assert EncodingSpec.from_canonical(plain.spec.canonical()) == plain.spec


def test_a_preset_is_carried_out(tmp_path, quick_model):
    lab = make_lab(tmp_path / "lab", quick_model, subjects=("A", "B"))
    options = {"strategy": "chunk", "n_permutations": 0, "n_bootstraps": 20, "block_rows": 5}
    store = tmp_path / "s"
    default = braindash.encode(lab.manifest, lab.model, "A", store=store, **options)
    rows = default.n_scored_rows
    with pytest.raises(InputError, match="scored from row 4000"):
        braindash.encode(
            lab.manifest, lab.model, "A", store=store, preset="moussa2025-a", score_from_row=4000
        )
    early = {"score_from_row": rows // 2}
    paper = braindash.encode(
        lab.manifest, lab.model, "A", store=store, preset="moussa2025-a", **early, **options
    )
    assert paper.key != default.key and paper.n_scored_rows < rows
    assert len(paper.spec["alphas"]) == 15 and paper.preset == "moussa2025-a"
    assert {paper.ceiling_threshold(name) for name in paper.ceilings} == {0.4}
    assert default.ceiling_threshold("repeats") == 0.4
    assert "preset moussa2025-a" in paper.provenance_line()
    assert wanted_set(paper) == "moussa2025-neurips" and wanted_set(default) is None
    # The threshold is that of the means, and of their replicates.
    whole = paper.region_intervals(normalised=True)
    above = paper.ceiling > 0.4
    expected = np.nanmean((paper.r / paper.ceiling)[:, above & paper.valid], axis=1)
    np.testing.assert_allclose(whole["r_over_ceiling"], expected, rtol=1e-5)


def test_the_command_prints_the_difference(lab, tmp_path):
    command = ["encode", "--data", str(lab.manifest), "--model", str(lab.model), "--subject", "A"]
    command += ["--store", str(tmp_path / "s"), "--score-from-row", "10", "--check"]
    found = CliRunner().invoke(app, [*command, "--preset", "moussa2025-a"])
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "the protocol of arXiv 2506.03832" in said and "15 from 100 to 1e+08" in said
    assert "regions are not here" in said and "lh.HCPMMP1.annot" in said
    plain = CliRunner().invoke(app, command)
    assert plain.exit_code == 0 and "protocol of" not in plain.output


def test_a_preset_of_probes_fills_what_is_not_given():
    def asked(**fields):
        return build_request(ProbeRequest, model="m", labels="timit", labels_path="t", **fields)

    paper = asked(preset="moussa2025-a")
    assert paper.metric == "macro_f1" and paper.labels_options == {"prompts": True}
    assert asked(preset="moussa2025-a", metric="task").metric == "task"
    given = asked(preset="moussa2025-a", labels_options={"prompts": False, "phones": 61})
    assert given.labels_options == {"prompts": False, "phones": 61}
    assert asked().metric == "task" and asked().labels_options == {}
    assert ProbeRequest.model_validate_json(paper.model_dump_json()) == paper
    with pytest.raises(InputError, match="preset"):
        asked(preset="moussa2025-b")
    own = PRESETS["moussa2025-a"].probes
    assert set(own.tasks) <= set(PROBE_TASKS)
    told = "\n".join(probe_difference_lines("moussa2025-a"))
    assert all(name in told for name in (*own.tasks, "macro_f1", "prompts", "not reproduced"))
    assert not probe_differences("default") and not probe_difference_lines("default")
