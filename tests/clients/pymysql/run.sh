#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
venv="$PRECINCT_CACHE/clients/python"
if ! "$venv/bin/python" -c 'import pymysql, cryptography' 2>/dev/null; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
fi
"$venv/bin/python" smoke.py
