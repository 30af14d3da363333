"""The calibration of tests of targets and layers, small: no rate leaves its band by far."""

import importlib

import pytest
from kit.documents import ROOT

SCRIPTS = ROOT / "benchmarks" / "calibration"


def measured(name, n, **options):
    """Run a calibration script's own measurements, with a seed that its table does not have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        script = importlib.import_module(name)
        return script.measure_all(n, 7, script.QUICK, **options)


def assert_in_bands(rates):
    assert len({one.what for one in rates}) == len(rates)
    out = [f"{one.what}: {one.rate:.4f} ± {one.error:.4f}" for one in rates if one.outside(4)]
    assert not out, "\n".join(out)


@pytest.mark.parametrize(("name", "n"), [("targets", 1500), ("layers", 500)])
def test_rates_stay_in_their_bands(name, n):
    assert_in_bands(measured(name, n, n_maps=1))


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "n"), [("targets", 10_000), ("layers", 3000)])
def test_rates_of_many_stay_in_their_bands(name, n):
    assert_in_bands(measured(name, n, n_maps=3))
