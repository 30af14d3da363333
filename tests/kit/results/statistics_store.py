"""Made-up results of several models and subjects, and what a page drew of them."""

import json

from streamlit.testing.v1 import AppTest

from braindash.io.store import Store
from kit.results.made_up import made_up_result, put_result

ROI = {"space": "roi"}  # few targets: quick


def figures(app: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def filled(figure: dict) -> list[dict]:
    return [trace for trace in figure["data"] if trace.get("fill") == "toself"]


def put_models(root, subjects, models=("toy", "tuned"), **options):
    """Store made-up results of every model for every subject; gives them by model."""
    made = {}
    for number, model in enumerate(models):
        parts = [
            {"model": model, "subject": name, "seed": 10 * number + place} | options
            for place, name in enumerate(subjects)
        ]
        for part in parts:
            put_result(Store(root), **part)
        made[model] = [made_up_result(**part) for part in parts]
    return made


def put_shallow(root, n_layers=1, **options):
    made = made_up_result(**options)
    dataset = made.dataset.isel(layer=slice(0, n_layers))
    Store(root).put(
        "encoding", made.key, spec=made.spec, provenance=made.provenance, dataset=dataset
    )
