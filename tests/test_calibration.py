"""Short runs of the calibration scripts: no rate leaves its band by four standard errors."""

import importlib
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "benchmarks" / "calibration"
pytestmark = pytest.mark.campaign


@pytest.fixture
def script(monkeypatch):
    """Import a script as its own command does: its folder comes first."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(SCRIPTS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_intervals_of_groups_hold_the_truth(script):
    rates = script("groups").measure(n_repeats=40, seed=11, hard=False)
    assert len(rates) == 12 and not [one for one in rates if one.outside(4)]


def test_intervals_of_probes_hold_the_truth(script):
    rates = script("probes").measure_all(n_repeats=150, seed=11)
    assert len(rates) == 36 and not [one for one in rates if one.outside(4)]


def test_a_shared_penalty_is_better_at_low_signal(script):
    found = [script("penalty").scores(0.15, seed) for seed in range(100, 106)]
    assert sum(one["shared"] - one["target"] for one in found) > 0
