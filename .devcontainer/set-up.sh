#!/bin/sh
# Makes everything that `cargo xtask dev` and `cargo xtask test` need, once, when the container is made.
set -eu
# The npm package has a browser for x86-64 only.
if [ "$(dpkg --print-architecture)" != amd64 ]; then
  sudo apt-get update
  sudo apt-get install --yes --no-install-recommends chromium
fi
cargo xtask setup
