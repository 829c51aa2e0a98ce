#!/bin/sh
# Installs what the native modules of inferd-kernels are built with, where this user may;
# says in one line each what is built without otherwise. Never fails: everything works without them.
headers() { pkg-config --exists libnghttp2 2>/dev/null; }
cplusplus() { command -v "${CXX:-c++}" >/dev/null; }

headers && cplusplus && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get install -y -qq --no-install-recommends libnghttp2-dev pkg-config g++ ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends libnghttp2-dev pkg-config g++; }
  } >/dev/null 2>&1
fi
headers || echo 'building without the native gRPC transport: it needs libnghttp2-dev and pkg-config' >&2
cplusplus || echo 'building without the kernel for numbers in JSON: it needs g++' >&2
exit 0
