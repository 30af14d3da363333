"""Memory that the audio tower of a large model takes while it is read from its parts.

``python benchmarks/large/bench_towers.py`` writes a made-up Voxtral whose text model is larger than
its tower, in bf16 and several parts, and loads the tower in a process of its own. Printed is the
largest resident memory beyond what the libraries alone take, over the size of the tower in float32.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

KILOBYTE = 1024


def make(folder: Path, width: int, n_blocks: int) -> None:
    """Write the model; nothing of it stays in this process."""
    import torch
    import transformers

    config = transformers.VoxtralConfig(
        text_config={
            "model_type": "llama",
            "hidden_size": 2 * width,
            "intermediate_size": 8 * width,
            "num_hidden_layers": n_blocks,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "head_dim": width // 8,
            "vocab_size": 32000,
        },
        audio_config={
            "model_type": "voxtral_encoder",
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": n_blocks,
            "num_attention_heads": 16,
        },
        audio_token_id=5,
    )
    model = transformers.VoxtralForConditionalGeneration(config).to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="200MB")
    transformers.WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)


def measure(folder: Path) -> None:
    """Load the tower and print the growth of the peak of resident memory, and its size."""
    import torch
    from transformers.models.voxtral.modeling_voxtral import VoxtralEncoder

    from braindash.speech.checkpoints.locate import locate
    from braindash.speech.models import load_encoder

    small = VoxtralEncoder.config_class(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    VoxtralEncoder(small)
    torch.zeros(8).float()
    files = locate(folder)
    before = _memory("VmRSS")
    module = load_encoder(files)
    # Not getrusage: its peak is also that of the process that started this one.
    peak = _memory("VmHWM")
    size = sum(one.numel() * one.element_size() for one in module.state_dict().values())
    print(json.dumps({"peak": peak - before, "tower": size, "ratio": (peak - before) / size}))


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * KILOBYTE
    return 0


def main() -> None:
    """Write, load, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), given.width, given.blocks)
        n_bytes = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
        command = [sys.executable, __file__, "--measure", folder]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        found = json.loads(subprocess.check_output(command, env=environment))
    print(
        f"all parts {n_bytes / 1e6:.0f} MB; tower {found['tower'] / 1e6:.0f} MB in float32; "
        f"peak while reading {found['peak'] / 1e6:.0f} MB: {found['ratio']:.2f} of the tower"
    )


if __name__ == "__main__":
    main()
