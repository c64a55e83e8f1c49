#!/bin/sh
# Makes a component of a connector in C.
#
#   kit/c/componentize.sh -o oauth2.wasm [-w WORLD] [-i WIT] SOURCE.c…
#
# Needed on the path: wit-bindgen and wasm-tools, and in CC a compiler for wasm32-wasi, by default zig's (PyPI: ziglang).
# -w: the world that it has, by default a provider's; a receiver's is delegation:tokens/token-receiver. 
# More worlds are in wit/worlds.wit beside this file; -i: a folder with a world of your own instead.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
world=delegation:tokens/token-provider own=$kit/wit output=connector.wasm
while getopts o:w:i: option; do
  case $option in
  o) output=$OPTARG ;;
  w) world=$OPTARG ;;
  i) own=$OPTARG ;;
  *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
for tool in wit-bindgen wasm-tools; do
  command -v $tool >/dev/null || { echo "$tool is not on the path: README.md says how it is installed" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# It names each file that it writes, and has no option for silence.
bindings() { wit-bindgen c "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
# Each brings a section of its own. `component new` merges them and drops what is not called.
bindings -w "$world" "$kit/../../wit" "$own" --rename-world connector --out-dir "$work/connector"
bindings -w deputy:kit/http-client "$kit/../wit" --out-dir "$work/http"
bindings -w deputy:kit/clock "$kit/../wit" --out-dir "$work/clock"
# zig's stack is 16 MiB otherwise, of each instance.
${CC:-python3 -m ziglang cc} -target wasm32-wasi -mexec-model=reactor -Os -Wall -Wextra -Wno-unused-parameter \
  -Wno-missing-field-initializers \
  -Wl,-z,stack-size=131072 -I"$kit" -I"$work/connector" -I"$work/http" -I"$work/clock" -o "$work/core.wasm" \
  "$@" "$kit"/*.c "$work"/connector/*.[co] "$work"/http/*.[co] "$work"/clock/*.[co]
wasm-tools component new "$work/core.wasm" -o "$output"
