#!/usr/bin/env bash
# Stands between cargo and rustc for our own crates when `make fuzz` builds: what clients' bytes reach first is instrumented
# for libFuzzer, and the fuzz programs are linked with it. Dependencies stay as they are.
set -euo pipefail
rustc=$1
shift
crate='' previous='' instrument=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares)
for argument in "$@"; do
  [ "$previous" = --crate-name ] && crate=$argument
  previous=$argument
done
case $crate in
  sql | gateway | fuzz) exec "$rustc" "$@" "${instrument[@]}" ;;
  fuzz_*) exec "$rustc" "$@" "${instrument[@]}" -Clink-arg="$PRECINCT_LIBFUZZER" -Clink-arg=-lstdc++ ;;
  *) exec "$rustc" "$@" ;;
esac
