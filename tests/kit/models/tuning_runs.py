"""Short requests for brain-tuning on a toy lab, and what they read."""

from braindash.progress import NoProgress
from braindash.requests import TuneRequest, build_tune_request
from braindash.tuning.data import TuningData, load_tuning_data
from braindash.tuning.plan import plan_tuning
from kit.data.toy_lab import Lab

SHORT = {
    "window_trs": 3,
    "segment_trs": 8,
    "attention_trs": 4,
    "epochs": 2,
    "batch_rows": 30,
    "encoder_rate": 1e-3,
    "device": "cpu",
}


def request_for(lab: Lab, **fields) -> TuneRequest:
    """Ask for two epochs of one subject, but for what is given."""
    asked = SHORT | {"data": lab.manifest, "model": str(lab.model), "subjects": ("A",)} | fields
    return build_tune_request(**asked)


def data_for(lab: Lab, **fields) -> TuningData:
    """Read what a run would learn from."""
    return load_tuning_data(plan_tuning(request_for(lab, **fields)), NoProgress())
