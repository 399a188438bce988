#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
home="$PRECINCT_CACHE/clients/mysql2"
mkdir -p "$home"
cp package.json smoke.mjs "$home/"
cd "$home"
[ -d node_modules/mysql2 ] || npm install --silent --no-audit --no-fund
node smoke.mjs
