"""Brain-tuning on the pretended device: the CPU's weights after the same steps."""

import numpy as np
import pytest
from kit.models.tiny_models import save_kind
from kit.models.tuning_stories import make_story
from kit.running.spawned import QUICK, short_stories

from braindash.specs import AdapterSettings
from braindash.speech.checkpoints.locate import locate
from braindash.speech.training.run import tune_model

pytestmark = pytest.mark.gpu

SETTINGS = QUICK.model_copy(update={"epochs": 1, "mask_share": 0.1})


def tuned(folder, device, settings):
    made = tune_model(
        locate(folder / "model"),
        short_stories(),
        [make_story(9, "A", "B", seconds=10)],
        settings,
        folder=folder / device,
        device=device,
    )
    state = made.network.state_dict()
    return {name: value.cpu().numpy() for name, value in state.items()}


OTHERWISE = {
    "full": {},
    "lora": {"adapter": AdapterSettings()},
    "bottleneck": {"head": "bottleneck", "bottleneck": 3, "steps": 3},
}


@pytest.mark.parametrize("otherwise", OTHERWISE.values(), ids=OTHERWISE)
def test_the_device_learns_what_the_cpu_learns(gpu, tmp_path, otherwise):
    save_kind("hubert-group", tmp_path / "model")
    settings = SETTINGS.model_copy(update=otherwise)
    on_cpu = tuned(tmp_path, "cpu", settings)
    before = gpu.operations.total()
    on_device = tuned(tmp_path, "cuda", settings)
    assert gpu.operations.total() - before > 1000, "it learnt on the device"
    assert on_device.keys() == on_cpu.keys()
    # Where the gradient is nothing but rounding, as that of many biases, Adam steps anywhere.
    for name in (name for name in on_device if not name.endswith("bias")):
        np.testing.assert_allclose(on_device[name], on_cpu[name], atol=2e-4, err_msg=name)
