#!/usr/bin/env bash
# House checks that no compiler makes. Prints what is wrong and how to mend it.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
complain() { printf 'tidy: %s\n' "$*"; failed=1; }

files() { git ls-files -co --exclude-standard -- "$@" | while read -r file; do [ -e "$file" ] && echo "$file"; done; }
long=$(files '*.rs' | xargs -r wc -l | awk '$2 != "total" && $1 > 900 {print $2 " (" $1 " lines)"}')
[ -z "$long" ] || complain "files over 900 lines, each probably two ideas:" $long
marks=$(files '*.rs' '*.py' '*.sh' '*.md' ':!scripts/tidy.sh' | xargs -r grep -nE 'todo!\(|unimplemented!\(|#\[ignore|\b(FIXME|HACK|XXX)\b' || true)
[ -z "$marks" ] || complain "unfinished work:" "$marks"
clocks=$(files '*.rs' ':!base/src/clock.rs' ':!clippy.toml' | xargs -r grep -nE 'SystemTime::now|std::time::Instant::now|rand::(random|rng|thread_rng)\(' || true)
[ -z "$clocks" ] || complain "time and randomness come from base::Clock and base::Rng:" "$clocks"
for crate in */Cargo.toml; do
  crate=${crate%/Cargo.toml}
  grep -q "\`$crate/\`" docs/ARCHITECTURE.md || complain "docs/ARCHITECTURE.md does not name the crate $crate/"
  [ "$crate" = defects ] && continue # the sources of raft/
  head -1 "$crate/src/lib.rs" | grep -q '^//!' || complain "$crate/src/lib.rs does not begin with a module header"
done
headerless=$(files '*/src/*.rs' '*/src/**/*.rs' | while read -r file; do [ -f "$file" ] && { head -1 "$file" | grep -q '^//!' || echo "$file"; }; done)
[ -z "$headerless" ] || complain "files without a module header (//!):" $headerless
# Allowed edges between our crates (docs/ARCHITECTURE.md, table). A new edge needs a decision record.
edges() { awk '/^\[dependencies\]/{on=1;next} /^\[/{on=0} on' "$1/Cargo.toml" | sed -nE 's/^(base|proto|engine|raft|txn|shard-router|sql|gateway|server|chaos|bench|fuzz)[.a-z]* *=.*/\1/p' | sort | tr '\n' ' '; }
check_edges() { got=$(edges "$1"); want=$2; for edge in $got; do case " $want " in *" $edge "*) ;; *) complain "$1 may not use $edge (docs/ARCHITECTURE.md)" ;; esac; done; }
check_edges proto ""
check_edges base ""
check_edges engine "base"
check_edges raft "base engine proto"
check_edges txn "base engine"
check_edges shard-router "base"
check_edges sql "base engine txn"
check_edges gateway "sql base"
check_edges chaos "base shard-router"
check_edges fuzz "sql gateway"
exit $failed
