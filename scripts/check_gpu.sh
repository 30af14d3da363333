#!/usr/bin/env bash
# Check a machine with a GPU in eight minutes: tests, agreement with the CPU, times, memory.
#
#   scripts/check_gpu.sh            everything; tables on the terminal and in build/gpu/
#   PYTHON=python3.12 scripts/check_gpu.sh
#
# The interpreter has a torch that sees the GPU; all else is installed into build/gpu/venv beside it.
# Exits with 1 when a test fails. What takes longer than its share of eight minutes is cut off; the
# first run has less left for them, by what the installation took (run it again for the rest).
set -uo pipefail
SECONDS=0
left() { echo $((470 - SECONDS)); }
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=build/gpu
mkdir -p "$OUT"

"$PYTHON" - <<'CHECK' || exit 1
import sys
try:
    import torch
except ImportError:
    sys.exit(f"{sys.executable} has no torch: give the interpreter that has it as PYTHON")
if not torch.cuda.is_available():
    sys.exit(f"torch {torch.__version__} sees no GPU: is it the CUDA build, and is a GPU there?")
print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
CHECK

if [ ! -x "$OUT/venv/bin/python" ]; then
    # The torch that is there is used: only what is missing is installed beside it.
    "$PYTHON" -m venv --system-site-packages "$OUT/venv" &&
        timeout 300 "$OUT/venv/bin/python" -m pip install -q -e ".[test]" || {
        rm -rf "$OUT/venv"  # half of it would look whole the next time
        exit 1
    }
fi
python=$OUT/venv/bin/python
export HF_HUB_OFFLINE=1
failed=0

echo "== tests"
timeout $(($(left) * 2 / 5)) "$python" -m pytest -q -p no:cacheprovider -m gpu tests/gpu tests/core tests/speech 2>&1 | tee "$OUT/tests.txt"
[ "${PIPESTATUS[0]}" = 0 ] || failed=1

echo "== agreement and times"
timeout "$(left)" "$python" benchmarks/bench_gpu.py --json "$OUT/gpu.json" 2>&1 | tee "$OUT/gpu.txt"
[ "${PIPESTATUS[0]}" = 0 ] || failed=1

echo "tables: $OUT/tests.txt, $OUT/gpu.txt, $OUT/gpu.json"
exit $failed
