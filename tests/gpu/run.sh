#!/bin/sh
# What a GPU machine runs: the kernel tests on the device, then the kernel benchmark.
#
#   tests/gpu/run.sh [FOLDER]     the table goes to FOLDER, or to tests/benchmarks/results
#
# Needs python3 with numpy, numba, numba-cuda, cuda-core, cuda-bindings, pytest and hypothesis;
# installs nothing, and each half is ended after its time. Exit code 0: both passed.
set -u
cd "$(dirname "$0")/../.."
results="${1:-tests/benchmarks/results}"
export PYTHONPATH="$PWD/kernels${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$(mktemp -d)}"

# Where numba-cuda looks for libnvvm when no wheel brought it.
compiler=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
if [ -z "${CUDA_HOME:-}" ] && [ -x "$compiler" ]; then
  CUDA_HOME=$(dirname "$(dirname "$(readlink -f "$compiler")")")
  export CUDA_HOME
fi

command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
status=0
timeout -k 5 150 python3 -m pytest -q -c tests/gpu/pytest.ini --rootdir . kernels/tests || status=1
timeout -k 5 120 python3 tests/gpu/kernel_bench.py "$results" || status=1
exit $status
