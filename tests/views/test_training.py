import numpy as np
import pytest

from braindash.views.captions import tuning_line
from braindash.views.training import training_curves, training_table

HISTORY = [
    {"epoch": 0, "loss": None, "validation_r": {"S1": 0.1, "S2": 0.2}, "seconds": 1.0},
    {"epoch": 1, "loss": 0.9, "validation_r": {"S1": 0.3, "S2": 0.1}, "seconds": 2.0},
]


def test_the_table_has_a_row_per_epoch_and_subject():
    table = training_table(HISTORY)
    assert list(table["subject"]) == ["S1", "S2", "S1", "S2"]
    assert np.isnan(table["loss"][0]) and table["loss"][2] == 0.9
    assert training_table([]).empty


def test_every_subject_has_a_curve_and_the_loss_begins_at_epoch_1():
    figure = training_curves(HISTORY, n_epochs=5, kept=1)
    names = [trace.name for trace in figure.data]
    assert names == ["validation r, S1", "validation r, S2", "training loss"]
    assert list(figure.data[0].y) == [0.1, 0.3]
    assert list(figure.data[2].x) == [1]
    assert figure.layout.xaxis.range == (-0.3, 5.3)
    assert all(shape.x0 == 1 for shape in figure.layout.shapes) and figure.layout.shapes
    assert not figure.layout.annotations


def test_simulated_responses_are_stamped():
    figure = training_curves(HISTORY, n_epochs=5, simulated=True)
    assert [note.text for note in figure.layout.annotations] == ["SIMULATED"]


@pytest.fixture
def record():
    return {
        "spec": {
            "control": "none",
            "settings": {"adapter": {"rank": 4}, "loss": "mse", "seed": 3},
        },
        "base": {"name": "tiny"},
        "stories": {
            "train": {"a": 10, "b": 20},
            "validation": {"c": 5},
            "never_trained_on": ["d"],
        },
        "targets": {"S1": {"n_targets": 7, "rule": "train-repeats"}},
        "history": HISTORY,
        "kept_epoch": 1,
        "stopped": "",
        "improved": True,
    }


def test_the_line_says_what_was_learnt_from(record):
    line = tuning_line(record)
    assert "adapters of rank 4" in line and "S1: 7 targets by train-repeats" in line
    assert "trained on 2 stories (30 rows), validated on c · never trained on: d" in line
    assert "epoch 1 of 1 kept · seed 3" in line and "CONTROL" not in line


def test_the_line_names_a_control_and_a_failure(record):
    record["spec"]["control"] = "shuffled"
    line = tuning_line(record | {"improved": False, "stopped": "the loss is not finite"})
    assert line.startswith("CONTROL (shuffled)")
    assert "kept · the loss is not finite · no epoch was better than the start" in line
