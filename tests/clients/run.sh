#!/usr/bin/env bash
# Client smoke tests: every driver an application is likely to use, against a three-process cluster.
# Each client checks text and prepared statements, types, wrong passwords, TLS and a 100,000-row result.
set -euo pipefail
cd "$(dirname "$0")"

: "${PRECINCT_BIN:?set PRECINCT_BIN to the precinct binary}"
: "${PRECINCT_CACHE:=$HOME/.cache/precinct}"
work=$(mktemp -d)
port=14000
demo=
finish() {
  status=$?
  if [ -n "$demo" ]; then
    "$PRECINCT_BIN" demo stop --mysql-port $port >/dev/null 2>&1 || true
    wait "$demo" 2>/dev/null || true
  fi
  if [ $status -ne 0 ]; then
    echo "--- demo output"; cat "$work/demo.log" 2>/dev/null || true
    for log in "$work"/data/node-*/node.log; do echo "--- $log"; tail -n 20 "$log" 2>/dev/null || true; done
  fi
  rm -rf "$work"
}
trap finish EXIT

"$PRECINCT_BIN" demo --data "$work/data" --sample none --mysql-port $port --http-port 18800 --node-port 17800 \
  --ready-file "$work/ready.json" </dev/null >"$work/demo.log" 2>&1 &
demo=$!
for _ in $(seq 600); do
  [ -e "$work/ready.json" ] && break
  kill -0 "$demo" 2>/dev/null || { echo "the demo ended early"; exit 1; }
  sleep 0.1
done
[ -e "$work/ready.json" ] || { echo "the demo was not ready after 60 s"; exit 1; }

export PRECINCT_HOST=127.0.0.1 PRECINCT_PORT=$port PRECINCT_PORT_2=$((port + 1)) PRECINCT_PASSWORD=correct-horse
export PRECINCT_SOCKET="$work/data/node-1/mysql.sock"
mariadb -h127.0.0.1 -P$port -uroot -e "
  CREATE DATABASE smoke;
  CREATE USER 'app'@'%' IDENTIFIED BY '$PRECINCT_PASSWORD';
  CREATE USER 'legacy'@'%' IDENTIFIED WITH mysql_native_password BY '$PRECINCT_PASSWORD';
  CREATE TABLE smoke.big (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, amount DECIMAL(12,2) NOT NULL);"
awk 'BEGIN { for (i = 1; i <= 100000; i++) printf "%d\trow number %d\t%d.25\n", i, i, i % 1000 }' >"$work/big.tsv"
mariadb --local-infile=1 -h127.0.0.1 -P$port -uroot smoke -e "LOAD DATA LOCAL INFILE '$work/big.tsv' INTO TABLE big"

passed=0
run() { # run NAME COMMAND...
  local name=$1
  shift
  local start=$SECONDS
  if "$@" >"$work/$name.log" 2>&1; then
    passed=$((passed + 1))
    echo "client $name: ok ($((SECONDS - start)) s)"
  else
    echo "client $name: FAILED"
    tail -n 40 "$work/$name.log"
    exit 1
  fi
}

run mariadb-cli bash mariadb-cli/smoke.sh
run pymysql bash pymysql/run.sh
run mysql2 bash mysql2/run.sh
run connector-j bash connector-j/run.sh
run go-sql-driver bash go-sql-driver/run.sh
echo "clients: $passed of 5 passed (the sixth, mysql_async, is chaos/tests/mysql_async_smoke.rs)"
