"""A short training run, and what each of two processes does of it."""

import os

import torch

from braindash.specs import TuningSettings
from braindash.speech.checkpoints.locate import locate
from braindash.speech.training.run import tune_model
from kit.models.tuning_stories import make_story

SHORT = 10  # seconds of a story: six segments
QUICK = TuningSettings(
    window_trs=3,
    segment_trs=8,
    attention_trs=4,
    batch_rows=12,
    epochs=4,
    patience=None,
    encoder_rate=1e-3,
    head_rate=1e-3,
    keep="last",
)


def short_stories():
    """Two subjects, one story of both and one of each."""
    return [make_story(number, *who, seconds=SHORT) for number, who in enumerate(("AB", "A", "B"))]


def share_of_two(rank, folder, out, port):
    """Train with another process; at the top of a module, so that it can be started."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2}
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
    os.environ.update({name: str(value) for name, value in (where | ranks).items()})
    torch.set_num_threads(1)
    tuned = tune_model(
        locate(folder),
        short_stories(),
        [make_story(9, "A", "B", seconds=SHORT)],
        QUICK.model_copy(update={"epochs": 2, "dropout": 0.0}),
        folder=out / "run",
        device="cpu",
    )
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in tuned.network.state_dict().items()}
    name = "first" if tuned.team.is_first else "second"
    save_file(state, out / f"{name}.safetensors")
