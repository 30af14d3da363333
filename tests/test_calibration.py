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


def test_a_penalty_of_its_own_costs_a_target_little_at_low_signal(script):
    penalty = script("penalty")
    found = [penalty.scores(0.15, seed) for seed in range(100, 106)]
    means = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
    assert not penalty.costly(means)
    assert penalty.costly(means | {"target": 0.69 * means["shared"]}) == ["target"]


def test_as_many_preferred_layers_are_right_as_are_said_to_be(script):
    preferred = script("preferred")
    found = preferred.measure_all(800, 11, preferred.QUICK)
    assert len(found) == 3 and not [one.case.name for one in found if one.outside(4)]


def test_the_bootstrap_t_keeps_its_level(script):
    assert not [one.what for one in script("skewed").measure_all(1500, 11) if one.outside(4)]
