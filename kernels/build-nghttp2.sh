#!/bin/sh
# Builds the nghttp2 that the wheels bundle, from its release, with a pinned checksum.
#
#     kernels/build-nghttp2.sh [PREFIX] [TARBALL]
#
# Installs the shared library alone to PREFIX (default: /usr/local). TARBALL is a copy of the
# release; without one it is downloaded. Wheels do not use the distribution's library:
# AlmaLinux 8 has 1.33, which lacks the limits on acknowledgements and settings.
set -eu
version=1.70.0
sha256=aa317e2cf9dca6afa0aed68f8fad6ff303ec6982e25a78c75c0b65e2b9b3ded5
prefix=${1:-/usr/local}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tarball=${2:-$folder/nghttp2.tar.gz}
if [ $# -lt 2 ]; then
  curl -fsSL --retry 3 -o "$tarball" \
    "https://github.com/nghttp2/nghttp2/releases/download/v$version/nghttp2-$version.tar.gz"
fi
echo "$sha256  $tarball" | sha256sum -c -
tar -xzf "$tarball" -C "$folder"
cd "$folder/nghttp2-$version"
./configure --quiet --prefix="$prefix" --enable-lib-only --disable-static --disable-dependency-tracking
make -s -j "$(nproc)"
make -s install
