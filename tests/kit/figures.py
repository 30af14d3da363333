"""One figure of every kind that views make, of numbers that nobody computed."""

from collections.abc import Callable
from functools import cache
from types import MappingProxyType

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.checking.report import LagScan, SubjectReport
from braindash.probing.result import probing_difference
from braindash.views.checks import lag_figure
from braindash.views.curves import difference_curves, layer_curves, region_panels, share_curves
from braindash.views.probes import depth_curves, difference_map, heat_map, probe_curves
from braindash.views.scatter import target_scatter
from braindash.views.targets import TargetCurve, target_curves
from braindash.views.training import training_curves
from kit.made_up_probing import TASKS, made_up_probing

REGIONS = ("late_language", "primary_auditory")
ODD = "a <script>alert(1)</script> & $x_1$ model"
"""A name with markup, and what another program would take for a formula."""


def region_table(model: str = "toy", shift: float = 0.0) -> pd.DataFrame:
    """Tabulate regions as results do, with intervals and a layer without a score."""
    rows = []
    for layer in range(5):
        for region, peak in (("primary_auditory", 1), ("late_language", 3)):
            r = 0.5 - 0.09 * abs(layer - peak) + shift
            rows.append({"layer": layer, "region": region, "r": r, "r_over_ceiling": r / 0.8})
    table = pd.DataFrame(rows).assign(ceiling=0.8, n_targets=10, n_valid=9, n_above_threshold=6)
    table.loc[table.index[-1], ["r", "r_over_ceiling"]] = np.nan
    table = table.assign(low=table["r"] - 0.05, high=table["r"] + 0.04)
    return table.assign(coverage=0.9, model=model, simulated=True)


def _difference_table() -> pd.DataFrame:
    table = region_table()
    table = table.assign(difference=table["r"] - 0.45, p=0.04, p_holm=0.08)
    return table.assign(low=table["difference"] - 0.05, high=table["difference"] + 0.05)


def _scatter() -> go.Figure:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 0.6, (2, 300))
    a[:5] = np.nan
    masks = {"all targets": np.ones(300, dtype=bool)}
    masks["late_language"] = np.arange(300) < 90
    titles = ["A, layer 1 · Pearson r", "B, layer 2 · Pearson r"]
    return target_scatter(a, b, masks, ["late_language"], titles=titles, simulated=True)[0]


def _target() -> go.Figure:
    values = np.array([0.1, 0.3, np.nan, 0.2])
    curves = [
        TargetCurve(values, "A: toy", np.array([True, False, False, True])),
        TargetCurve(values + 0.1, f"B: {ODD}"),
    ]
    return target_curves(curves, title=ODD, ceiling=0.6, score="r", simulated=True)


def _lags() -> go.Figure:
    found = lag_figure(
        SubjectReport(
            subject="S1",
            stories=(),
            findings=(),
            lag_seconds=5.0,
            lag_r=0.8,
            lag_clear=False,
            lag_scan=LagScan([0.0, 5.0, 10.0], {"a": [0.1, 0.8, None]}, [0.1, 0.7, 0.2]),
        ),
        simulated=True,
    )
    assert found is not None
    return found


def _training(**options) -> go.Figure:
    history = [
        {"epoch": epoch, "loss": loss, "validation_r": {"S1": r, "S2": r / 2}, "seconds": 1.0}
        for epoch, loss, r in ((0, None, 0.1), (1, 0.9, 0.3), (2, 0.7, 0.2))
    ]
    return training_curves(history, n_epochs=4, kept=1, **options)


def _probing(draw: int = 0, n_layers: int = 4):
    return made_up_probing(draw=draw, n_layers=n_layers)


MADE: MappingProxyType[str, Callable[[], go.Figure]] = MappingProxyType(
    {
        "layer_curves": lambda: layer_curves(region_table(), REGIONS, score="r"),
        "layer_curves of two": lambda: layer_curves(
            region_table(),
            REGIONS,
            score="r_over_ceiling",
            relative_depth=True,
            other=region_table(ODD, 0.1),
        ),
        "difference_curves": lambda: difference_curves(_difference_table(), REGIONS, score="r"),
        "share_curves": lambda: share_curves(
            region_table().assign(share=lambda t: t["r"] / 2), REGIONS
        ),
        "region_panels": lambda: region_panels(
            region_table(), REGIONS, score="r", other=region_table("tuned", 0.1)
        ),
        "target_curves": _target,
        "target_scatter": _scatter,
        "heat_map": lambda: heat_map(_probing().table(), TASKS, scale="above"),
        "heat_map of z": lambda: heat_map(_probing().table(), TASKS, scale="z"),
        "heat_map of one layer": lambda: heat_map(
            _probing(n_layers=1).table(), TASKS, scale="score", relative_depth=True
        ),
        "difference_map": lambda: difference_map(
            probing_difference(_probing(), _probing(draw=1)), TASKS
        ),
        "probe_curves": lambda: probe_curves(
            _probing(), "phone", controls=[_probing(1), _probing(2, n_layers=1)]
        ),
        "depth_curves": lambda: depth_curves(_probing().table(), TASKS),
        "training_curves": lambda: _training(simulated=True),
        "training_curves of people": _training,
        "lag_figure": _lags,
    }
)
"""Functions of views, with what they are of, and what makes a figure with them."""


@cache
def figure(name: str) -> go.Figure:
    """Make a figure once; it must not be changed."""
    return MADE[name]()
