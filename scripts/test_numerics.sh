#!/usr/bin/env bash
# Run the numeric tests as other processors would compute: under several instruction sets and
# numbers of threads, one configuration after the other, then print a table of them.
#
#   scripts/test_numerics.sh                        all configurations
#   ONLY='threads|ATen' scripts/test_numerics.sh    those whose name matches
#   scripts/test_numerics.sh tests/core/ridge       other tests than NUMERIC, or options of pytest
#
# PYTHON is the interpreter (.venv/bin/python), WORKERS how many tests run at once (logical: as many
# as there are cores; 0: one after the other). Exits with 1 when a configuration fails.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
ONLY=${ONLY:-}
WORKERS=${WORKERS:-logical}

# Tests whose outcome depends on arithmetic; a test of numbers elsewhere belongs into this list.
NUMERIC=(
    tests/core
    tests/speech/encoder
    tests/speech/acoustic
    tests/speech/test_features.py
    tests/speech/test_unit_features.py
    tests/speech/checkpoints
    tests/speech/training
    tests/encoding
    tests/probing
    tests/tuning
    tests/demo/test_simulate.py
    tests/demo/test_stimulus.py
    tests/demo/test_pretraining.py
    tests/demo/test_tuned_models.py
    tests/ui/test_real_results.py
    tests/test_defaults.py
)
tests=("$@")
[ "${#tests[@]}" -gt 0 ] || tests=("${NUMERIC[@]}")

# Name, what the processor needs ("-": nothing), environment. ATen, MKL and oneDNN are torch's,
# OpenBLAS is numpy's and scipy's. The last ones move each result of torch by a unit of rounding
# (tests/kit/machines/other_processor.py): they stand for instruction sets that this processor lacks.
CONFIGURATIONS=(
    "one thread           | -       | OMP_NUM_THREADS=1"
    "two threads          | -       | OMP_NUM_THREADS=2"
    "ATen default         | -       | OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default"
    "ATen AVX2            | avx2    | OMP_NUM_THREADS=2 ATEN_CPU_CAPABILITY=avx2"
    "MKL AVX2             | avx2    | OMP_NUM_THREADS=1 MKL_ENABLE_INSTRUCTIONS=AVX2"
    "MKL AVX512           | avx512f | OMP_NUM_THREADS=2 MKL_ENABLE_INSTRUCTIONS=AVX512"
    "MKL compatible       | -       | OMP_NUM_THREADS=1 MKL_CBWR=COMPATIBLE"
    "ATen and MKL AVX2    | avx2    | OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2"
    "oneDNN SSE41         | -       | OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=SSE41"
    "oneDNN AVX2          | avx2    | OMP_NUM_THREADS=2 ONEDNN_MAX_CPU_ISA=AVX2"
    "oneDNN AVX512        | avx512f | OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=AVX512_CORE"
    "OpenBLAS SANDYBRIDGE | avx     | OMP_NUM_THREADS=1 OPENBLAS_CORETYPE=SANDYBRIDGE NPY_DISABLE_CPU_FEATURES=X86_V3"
    "OpenBLAS HASWELL     | avx2    | OMP_NUM_THREADS=2 OPENBLAS_CORETYPE=HASWELL"
    "OpenBLAS SKYLAKEX    | avx512f | OMP_NUM_THREADS=1 OPENBLAS_CORETYPE=SKYLAKEX"
    "all the oldest       | -       | OMP_NUM_THREADS=2 ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41 OPENBLAS_CORETYPE=NEHALEM NPY_DISABLE_CPU_FEATURES=X86_V3"
    "other processor 1    | -       | OMP_NUM_THREADS=1 OTHER_PROCESSOR=1"
    "other processor 2    | -       | OMP_NUM_THREADS=1 OTHER_PROCESSOR=2"
)

has() { # Whether the processor knows an instruction set, as Linux or macOS spells it.
    [ "$1" = - ] || { cat /proc/cpuinfo 2>/dev/null || sysctl -a 2>/dev/null; } |
        grep -qiE "(^|[^a-z0-9])(avx1\.0|$1)([^a-z0-9]|$)"
}

table=() failed=0
for line in "${CONFIGURATIONS[@]}"; do
    IFS='|' read -r name needs environment <<<"$line"
    name=$(sed 's/ *$//' <<<"$name") needs=${needs// /}
    if [ -n "$ONLY" ] && ! grep -qE "$ONLY" <<<"$name"; then continue; fi
    if ! has "$needs"; then
        table+=("$(printf '%-21s  skipped: this processor has no %s' "$name" "$needs")")
        continue
    fi
    plugin=()
    [[ $environment == *OTHER_PROCESSOR* ]] && plugin=(-p kit.machines.other_processor)
    echo "== $name:$environment"
    log=$(mktemp)
    # As the suite runs: side by side, without what takes minutes again.
    side=(-n "$WORKERS" --dist worksteal)
    # shellcheck disable=SC2086  # the environment is several words
    env HF_HUB_OFFLINE=1 PYTHONPATH="tests${PYTHONPATH:+:$PYTHONPATH}" $environment \
        "$PYTHON" -m pytest -q -m "not campaign and not browser" "${side[@]}" "${plugin[@]}" \
        "${tests[@]}" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    [ "$status" -eq 0 ] || failed=1
    table+=("$(printf '%-21s  %s' "$name" "$(tail -n 1 "$log")")")
    rm -f "$log"
done

echo
printf '%s\n' "${table[@]}"
exit "$failed"
