"""One figure of every kind that views make, of numbers that nobody computed."""

from collections.abc import Callable
from functools import cache
from types import MappingProxyType

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.checking.report import LagScan, SubjectReport
from braindash.probing.result import probing_difference
from braindash.probing.several import probing_mean
from braindash.views.checks import lag_figure
from braindash.views.curves import difference_curves, layer_curves, region_panels, share_curves
from braindash.views.probes import (
    depth_curves,
    difference_map,
    heat_map,
    mean_curves,
    probe_curves,
)
from braindash.views.scatter import target_scatter
from braindash.views.studies.bars import (
    impact_bars,
    laterality_bars,
    partition_bars,
    region_bars,
)
from braindash.views.studies.lines import (
    dimension_curves,
    drift_curves,
    model_curves,
    probe_lines,
)
from braindash.views.studies.matrices import similarity_matrices, transfer_matrix
from braindash.views.studies.points import alignment_scatter
from braindash.views.studies.sweeps import layer_matrices, value_curves
from braindash.views.targets import TargetCurve, target_curves
from braindash.views.training import training_curves
from kit.results.made_up_probing import TASKS, made_up_probing

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


# ---- of studies -------------------------------------------------------------------------------

_MODELS = (("base", "base"), ("tuned", "tuned"), (ODD, "control"))


def study_table(n_layers: int = 1) -> pd.DataFrame:
    """Tabulate models by region, and by layer where there are several, as studies do."""
    rows = [
        {"model": name, "role": role, "region": region, "layer": layer}
        for name, role in _MODELS
        for region in REGIONS
        for layer in range(n_layers)
    ]
    table = pd.DataFrame(rows).assign(measure="r", ceiling=0.8, simulated=True, se=0.01)
    table["alignment"] = 0.3 + 0.02 * np.arange(len(table)) / n_layers
    table = table.assign(depth=table["layer"] / max(1, n_layers - 1), base="base", task="phone")
    table = table.assign(low=table["alignment"] - 0.05, high=table["alignment"] + 0.06)
    table["percent"] = np.where(table["model"] == "base", np.nan, 12.0)
    return table.assign(percent_low=table["percent"] - 8, percent_high=table["percent"] + 9)


def _bars() -> go.Figure:
    table = study_table()
    subjects = pd.concat(
        [table.assign(subject=who, alignment=table["alignment"] + shift)
         for who, shift in (("S1", -0.02), ("S2", 0.0), ("S3", 0.03))]
    )  # fmt: skip
    tests = pd.DataFrame(
        [{"model_a": name, "model_b": "base", "region": region} for name in ("tuned", ODD)
         for region in REGIONS]
    )  # fmt: skip
    return region_bars(
        table, subjects, tests.assign(p_ranks_holm=0.03, p_signs_holm=0.0004, p_holm=0.2), REGIONS
    )


def _impact() -> go.Figure:
    table = study_table().assign(
        space="acoustic:lowlevel", drop=20.0, drop_low=10.0, drop_high=33.0
    )
    subjects = pd.concat([table.assign(subject=who, drop=drop)
                          for who, drop in (("S1", 15.0), ("S2", 25.0))])  # fmt: skip
    return impact_bars(table, subjects, REGIONS)


def _partition() -> go.Figure:
    parts = (("base",), ("acoustic:mfcc",), ("base", "acoustic:mfcc"))
    rows = [
        {"explained_by": " & ".join(part), "n_spaces": len(part), "region": region, "r2": 0.05 * n}
        for n, part in enumerate(parts, start=1)
        for region in REGIONS
    ]
    table = pd.DataFrame(rows).assign(model="base", spaces="acoustic:mfcc", simulated=True)
    return partition_bars(table.assign(low=table["r2"] - 0.02, high=table["r2"] + 0.03), REGIONS)


def _hemispheres() -> go.Figure:
    index = 0.1 + study_table()["alignment"]
    table = study_table().assign(index=index, index_low=index - 0.1, index_high=index + 0.1)
    return laterality_bars(table, REGIONS)


def _values(of: str, *, is_log: bool = False) -> go.Figure:
    numbers = (0.5, 2.0, 16.0) if of == "numbers" else ('"target"', '"shared"')
    tables = [
        study_table().assign(
            setting_value=str(one), setting_number=one if of == "numbers" else np.nan
        )
        for one in numbers
    ]
    best = {REGIONS[0]: 0.35}
    return value_curves(pd.concat(tables), REGIONS, title="Context (s)", is_log=is_log, best=best)


def _layers_by_values() -> go.Figure:
    tables = [
        study_table(4).assign(setting_value=f"[{one}]", setting_number=float(one))
        for one in range(3)
    ]
    return layer_matrices(pd.concat(tables), REGIONS, title="Delay (TR)")


def _models() -> go.Figure:
    shallow = study_table(1).assign(model="acoustic:logmel", role="control")
    table = pd.concat([study_table(4), shallow[shallow["region"] == REGIONS[0]].head(1)])
    return model_curves(table, REGIONS)


def _points(against: str) -> go.Figure:
    table = study_table()
    place = table["model"].map({"base": 1.0, "tuned": 2.0, ODD: 3.0})
    return alignment_scatter(
        table.assign(probe=place / 5, parameters=9e6 * 4**place), REGIONS, against=against
    )


def _probe_groups() -> go.Figure:
    parts = [
        probing_mean([_probing(draw=1), _probing(draw=2)]).assign(model="tuned", role="tuned"),
        _probing().table().assign(model=ODD, role="base", mean=lambda own: own["score"]),
    ]
    table = pd.concat(parts).drop(columns="score", errors="ignore")
    table = table.rename(columns={"mean": "score"}).assign(chance=0.2, simulated=True)
    table["depth"] = table["layer"] / table["layer"].max()
    titles = {task: task.title() for task in ("mfcc", "phone")}
    return probe_lines(table, titles, metrics={"mfcc": "R2", "phone": "accuracy"})


def _transfer(**options) -> go.Figure:
    rows = [
        {"model": f"tuned {one}", "tuned_on": one, "scored_on": two, "region": region}
        for one in ("S1", "S2") for two in ("S1", "S2", "S3") for region in REGIONS
    ]  # fmt: skip
    table = pd.DataFrame(rows).assign(measure="r", simulated=True)
    table["alignment"] = 0.2 + 0.01 * np.arange(len(table))
    table["gain"] = 0.01 * np.arange(len(table)) - 0.05
    return transfer_matrix(table, REGIONS, **options)


def _similarity() -> go.Figure:
    pairs = [("tuned", "base"), (ODD, ODD)]
    rows = [
        {"model_a": a, "model_b": b, "layer_a": i, "layer_b": j, "cka": 1 / (1 + abs(i - j))}
        for a, b in pairs for i in range(4) for j in range(4)
    ]  # fmt: skip
    return similarity_matrices(pd.DataFrame(rows).assign(simulated=True))


def _by_layer() -> pd.DataFrame:
    table = study_table(4)
    table = table[table["region"] == REGIONS[0]]
    return table.assign(
        two_nn=5 + table["layer"], participation=9.0, drift=table["depth"] / 2, distance=0.4
    )


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
        "mean_curves": lambda: mean_curves(
            probing_mean([_probing(draw=1), _probing(draw=2)]), "phone"
        ),
        "probe_curves": lambda: probe_curves(
            _probing(), "phone", controls=[_probing(1), _probing(2, n_layers=1)]
        ),
        "depth_curves": lambda: depth_curves(_probing().table(), TASKS),
        "training_curves": lambda: _training(simulated=True),
        "training_curves of people": _training,
        "lag_figure": _lags,
        "model_curves": _models,
        "model_curves by layer": lambda: model_curves(
            study_table(4), REGIONS, spread="se", relative_depth=False
        ),
        "probe_lines": _probe_groups,
        "region_bars": _bars,
        "impact_bars": _impact,
        "partition_bars": _partition,
        "laterality_bars": _hemispheres,
        "value_curves": lambda: _values("numbers", is_log=True),
        "value_curves of names": lambda: _values("names"),
        "layer_matrices": _layers_by_values,
        "alignment_scatter": lambda: _points("probe"),
        "alignment_scatter of sizes": lambda: _points("parameters"),
        "transfer_matrix": _transfer,
        "transfer_matrix of scores": lambda: _transfer(gain=False),
        "similarity_matrices": _similarity,
        "dimension_curves": lambda: dimension_curves(_by_layer()),
        "drift_curves": lambda: drift_curves(_by_layer()),
    }
)
"""Functions of views, with what they are of, and what makes a figure with them."""


@cache
def figure(name: str) -> go.Figure:
    """Make a figure once; it must not be changed."""
    return MADE[name]()
