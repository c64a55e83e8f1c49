#!/bin/sh
# Makes a component of a provider in C.
#
#   kit/c/componentize.sh -o oauth2.wasm [-w WORLD] [-i WIT] SOURCE.c…
#
# Needed on the path: wit-bindgen and wasm-tools, and in CC a compiler for wasm32-wasi, by default zig's (PyPI: ziglang).
# -w: the world that the provider has; -i: the folder with the contract, or with a world of your own and the contract under deps/.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
world=delegation:tokens/token-provider contract=$kit/../../wit output=provider.wasm
while getopts o:w:i: option; do
  case $option in
  o) output=$OPTARG ;;
  w) world=$OPTARG ;;
  i) contract=$OPTARG ;;
  *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Each brings a section of its own. `component new` merges them and drops what is not called.
wit-bindgen c -w "$world" "$contract" --rename-world provider --out-dir "$work/provider" >/dev/null
wit-bindgen c -w deputy:kit/http-client "$kit/../wit" --out-dir "$work/http" >/dev/null
# zig's stack is 16 MiB otherwise, of each instance.
${CC:-python3 -m ziglang cc} -target wasm32-wasi -mexec-model=reactor -Os -Wall -Wextra -Wno-unused-parameter \
  -Wl,-z,stack-size=131072 -I"$kit" -I"$work/provider" -I"$work/http" -o "$work/core.wasm" \
  "$@" "$kit"/*.c "$work"/provider/*.[co] "$work"/http/*.[co]
wasm-tools component new "$work/core.wasm" -o "$output"
