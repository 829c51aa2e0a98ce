#!/bin/sh
# Runs the tests of the HTTP/2 kernel under valgrind: reads of what was never written, and
# memory that nothing refers to any more, inside nghttp2 as well.
#
#     kernels/tests/valgrind.sh [PYTHON] [PYTEST ARGUMENTS]
#
# From the repository's root, with the kernel built. Python itself leaks what it keeps for its
# whole life; only findings with the native modules or nghttp2 in their stack count.
set -eu
python=${1:-python}
[ $# -eq 0 ] || shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export PYTHONMALLOC=malloc PYTHONPATH="$PWD/kernels:$PWD${PYTHONPATH:+:$PYTHONPATH}"
[ $# -gt 0 ] || set -- kernels/tests/wire
valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect --num-callers=30 \
    --log-file="$log" \
    "$python" -m pytest -q -p no:cacheprovider --hypothesis-profile=brief -k 'not leave_nothing_behind' "$@"
# A finding is a paragraph; its process number begins every line.
if sed 's/^==[0-9]*== \{0,1\}//' "$log" | awk -v RS= '/nghttp2|inferd_kernels|_(http2|codec)\.(c|pyx|cpython)|_json\.(cpp|pyx)/ { print $0 "\n"; found = 1 } END { exit !found }'; then
    echo "valgrind found the above" >&2
    exit 1
fi
echo "valgrind found nothing in the native modules"
