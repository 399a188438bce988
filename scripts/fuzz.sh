#!/usr/bin/env bash
# Runs the fuzz targets, one after the other, and keeps the inputs that reached new code.
# Usage: scripts/fuzz.sh MINUTES [TARGET…]
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(lexer parser printer digest packet)

PRECINCT_LIBFUZZER=$(compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a' | sort -V | tail -1)
export PRECINCT_LIBFUZZER RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/fuzz-rustc.sh
bins=()
for target in "${targets[@]}"; do bins+=(--bin "fuzz_$target"); done
cargo build --release --workspace --features fuzz/libfuzzer "${bins[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Statements of the golden scripts are where it begins; the byte in front sets no flag of sql_mode.
mkdir "$work/statements"
find sql/src/testscripts -type f -exec sed -n 's/^[^>]*> / /p' {} + | sort -u | split -a 5 -l 1 - "$work/statements/"
grep -rhoE '"[A-Z][A-Z_0-9]+"' sql/src/lexer sql/src/parser | sort -u >"$work/words"

findings=0
for target in "${targets[@]}"; do
  kept=fuzz/corpus/$target
  mkdir -p "$kept" "$work/$target" "$work/small"
  seeds=("$kept")
  [ "$target" = packet ] || seeds+=("$work/statements")
  echo "fuzz: $target for $minutes minutes"
  if ! "$CARGO_TARGET_DIR/release/fuzz_$target" "$work/$target" "${seeds[@]}" -max_total_time=$((minutes * 60)) -max_len=2048 -timeout=10 \
    -rss_limit_mb=4096 -dict="$work/words" -print_final_stats=1 -verbosity=1 -artifact_prefix="$work/finding-$target-" 2>"$work/log"; then
    findings=$((findings + 1))
    mkdir -p fuzz/findings
    cp "$work/finding-$target-"* fuzz/findings/ 2>/dev/null || true
    echo "fuzz: $target: A FINDING, its input lies in fuzz/findings/; mend it and keep the input in $kept"
    tail -n 40 "$work/log"
    continue
  fi
  grep -E '^(stat::|Done)' "$work/log"
  # The smallest set of inputs that reaches as much; statements of scripts are kept where they are.
  rm -rf "$work/small" && mkdir "$work/small"
  "$CARGO_TARGET_DIR/release/fuzz_$target" -merge=1 -max_len=512 "$work/small" "$kept" "$work/$target" 2>/dev/null
  rm -rf "$kept" && mv "$work/small" "$kept"
  echo "fuzz: $target: no finding; $(find "$kept" -type f | wc -l) inputs kept, $(du -sk "$kept" | cut -f1) KiB"
done
[ "$findings" = 0 ]
