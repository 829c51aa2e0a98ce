#!/bin/sh
# Runs the tests of the native wire modules with AddressSanitizer and UndefinedBehaviorSanitizer
# (gcc), and with them those of the gRPC frontend, which uses both.
#
#     kernels/tests/sanitized.sh [PYTHON] [PYTEST ARGUMENTS]
#
# From the repository's root, in an environment with inferd's test requirements, Cython and
# setuptools. The sanitized modules are built in a temporary folder.
set -eu
python=${1:-python}
[ $# -eq 0 ] || shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r kernels/inferd_kernels kernels/setup.py kernels/pyproject.toml kernels/README.md kernels/licenses "$folder"
find "$folder" -name '*.so' -delete
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g"
# Without SIMD, so that the portable digits of the JSON kernel are tested somewhere.
(cd "$folder" && CFLAGS="$flags" CXXFLAGS="$flags -DINFERD_NO_SIMD" LDFLAGS="$flags" \
    "$python" setup.py -q build_ext --inplace --force)
export PYTHONPATH="$folder:$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0
[ $# -gt 0 ] || set -- tests/protocol kernels/tests/wire tests/frontends/grpc
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    "$python" -m pytest -q -p no:cacheprovider "$@"
