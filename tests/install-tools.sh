#!/bin/sh
# Installs the clients that tests run beside the server, where this user may. Never fails:
# tests whose client is missing are skipped and say so.
found() { command -v nghttp && command -v h2load && command -v curl; }

found >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get install -y -qq --no-install-recommends nghttp2-client curl ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends nghttp2-client curl; }
  } >/dev/null 2>&1
fi
found >/dev/null || echo 'testing without nghttp, h2load or curl: they are in nghttp2-client and curl' >&2
exit 0
