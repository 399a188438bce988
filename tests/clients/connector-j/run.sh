#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
home="$PRECINCT_CACHE/clients/connector-j"
jar="$home/mysql-connector-j-9.4.0.jar"
mkdir -p "$home"
if [ ! -f "$jar" ]; then
  mvn -q -B dependency:copy -Dartifact=com.mysql:mysql-connector-j:9.4.0 -DoutputDirectory="$home"
fi
java -cp "$jar" Smoke.java
