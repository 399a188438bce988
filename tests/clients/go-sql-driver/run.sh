#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
home="$PRECINCT_CACHE/clients/go"
mkdir -p "$home"
cp go.mod smoke.go "$home/"
cd "$home"
[ -f go.sum ] || go mod tidy
go run smoke.go
