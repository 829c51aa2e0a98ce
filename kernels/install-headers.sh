#!/bin/sh
# Installs what the native modules of inferd-kernels are built with, where this user may;
# says in one line what is built without otherwise. Never fails: everything works without them.
found() { pkg-config --exists libnghttp2 2>/dev/null; }

found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get install -y -qq --no-install-recommends libnghttp2-dev pkg-config ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends libnghttp2-dev pkg-config; }
  } >/dev/null 2>&1
fi
found || echo 'building without the native gRPC transport: it needs libnghttp2-dev and pkg-config' >&2
exit 0
