#!/bin/sh
# Runs the codec's tests with AddressSanitizer and UndefinedBehaviorSanitizer (gcc).
#
#     kernels/tests/sanitized.sh [PYTHON]
#
# From the repository's root, in an environment with inferd's test requirements, Cython and
# setuptools. The sanitized module is built in a temporary folder.
set -eu
python=${1:-python}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r kernels/inferd_kernels kernels/setup.py kernels/pyproject.toml kernels/README.md "$folder"
find "$folder" -name '*.so' -delete
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g"
(cd "$folder" && CFLAGS="$flags" LDFLAGS="$flags" "$python" setup.py -q build_ext --inplace --force)
export PYTHONPATH="$folder:$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    "$python" -m pytest -q -p no:cacheprovider tests/protocol
