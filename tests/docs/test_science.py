"""Every number that the interface shows is explained on the page Science, with its default."""

import re
from typing import get_args

import pytest
from kit.documents import ROOT

from braindash.core.ceilings import ceiling_threshold
from braindash.core.probes.labels import CLASS_METRICS, METHODS, VALUE_METRICS
from braindash.core.probes.model import ALPHAS
from braindash.core.statistics.bootstrap import LEAST_UNITS, interval_method
from braindash.core.statistics.components import LEAST_SUBJECTS
from braindash.core.statistics.depth import QUANTITIES
from braindash.encoding import shares
from braindash.encoding.nulls.panel import NULLS, WARNED_R, WARNED_SHARE
from braindash.encoding.nulls.scored import ONSET_SECONDS
from braindash.probing.tasks import METRIC_TITLES
from braindash.requests import EncodeRequest, ProbeRequest
from braindash.specs import (
    AdapterSettings,
    CeilingName,
    LowLevelMethod,
    NullPanelSettings,
    Scheme,
    TargetRule,
    TuningControl,
    TuningLoss,
    TuningSettings,
)
from braindash.speech.windows import STRATEGIES, WINDOW_SECONDS
from braindash.views.maps import KINDS
from braindash.views.probes import SCALES
from braindash.views.tables import STAGE_COLUMNS

TEXT = (ROOT / "docs" / "science.md").read_text()
PLAIN = " ".join(TEXT.split())
NAMES = {
    "ceilings": get_args(CeilingName),
    "low-level methods": get_args(LowLevelMethod),
    "columns of low level": [name for name in shares._BANDED if name != "joint_r2"],
    "nulls": tuple(NULLS),
    "losses": get_args(TuningLoss),
    "controls": [name for name in get_args(TuningControl) if name != "none"],
    "targets": get_args(TargetRule),
    "strategies": STRATEGIES,
    "schemes": get_args(Scheme),
    "metrics of probes": (*CLASS_METRICS, *VALUE_METRICS),
    "methods of probes": METHODS,
    "columns of probes": ("chance_majority", "chance_shuffled", "above_chance", "cv_score"),
}


@pytest.mark.parametrize("what", NAMES)
def test_every_name_is_explained(what):
    assert not [name for name in NAMES[what] if f"`{name}`" not in TEXT]


def test_every_title_that_a_reader_sees_is_explained():
    titles = [*STAGE_COLUMNS.values(), "hierarchy index", "selectivity", "coverage"]
    titles += [*METRIC_TITLES.values(), "share above chance", "z over layers", *SCALES.values()]
    titles += ["preferred layer", "confidence", "noise ceiling", "r / ceiling", "A minus B"]
    assert not [title for title in titles if title.lower() not in PLAIN.lower()]
    assert len(QUANTITIES) == 4 and len(KINDS) == 7, "a new number needs its paragraph"


def test_the_defaults_are_those_of_the_code():
    listed = dict(
        re.findall(r"^\| `(\w+)` \| (.+) \|$", TEXT.partition("## Defaults")[2], re.MULTILINE)
    )
    models = (EncodeRequest, ProbeRequest, TuningSettings, AdapterSettings)
    fields = {name: field for model in reversed(models) for name, field in
              model.model_fields.items()}  # fmt: skip
    for name, told in listed.items():
        value = fields[name].default
        if name == "alphas":
            assert told == f"{len(value)} from {value[0]:g} to {value[-1]:g}"
        elif isinstance(value, tuple):
            assert told == ", ".join(map(str, value))
        else:
            assert told == str(value), name
    assert len(listed) > 12


def test_numbers_in_the_text_are_those_of_the_code():
    for name in ("given", "repeats", "split-half"):
        assert ceiling_threshold(name) == 0.4
    assert ceiling_threshold("inter-subject") == 0.1
    assert "0.4 for `given`, `repeats` and `split-half`, 0.1 for `inter-subject`" in PLAIN
    assert f"the {WINDOW_SECONDS:g} s before" in PLAIN
    assert f"below {shares.LEAST_SCORE:g}" in PLAIN
    assert LEAST_SUBJECTS == LEAST_UNITS == 3 and "the mean of three subjects or more" in PLAIN
    assert [interval_method(n) for n in (2, 3, 7, 8)] == ["none", "student", "student", "bootstrap"]
    assert "probes, eight units or more" in PLAIN and "probes, three to seven units" in PLAIN
    for seconds in ONSET_SECONDS:
        assert f"exp(-t / {seconds:g} s)" in PLAIN
    assert f"{NullPanelSettings().shift_seconds:g} s before" in PLAIN
    assert (WARNED_R, WARNED_SHARE) == (0.02, 0.2)
    assert f"one of {len(ALPHAS)} values from {ALPHAS[0]:g} to {ALPHAS[-1]:g}" in PLAIN.replace(
        "1e6", "1e+06"
    ).replace("1e-6 ", "1e-06 ")


def test_every_cited_source_is_listed():
    sources = TEXT.partition("## Sources")[2]
    cited = TEXT.partition("## Sources")[0]
    flat = " ".join(cited.split())
    form = r"([A-Z][\w-]+)(?: and [A-Z][\w-]+| et al\.)? ((?:19|20)\d\d)\b(?!\.)"
    found = set(re.findall(form, flat))
    assert len(found) > 10
    for name, year in found:
        assert re.search(rf"{name}\b[^.]* {year}", sources), (name, year)
