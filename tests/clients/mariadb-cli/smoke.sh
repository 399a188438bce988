#!/usr/bin/env bash
# The mariadb command line client: batch mode, TLS, Unix socket, metadata commands, error texts.
set -euo pipefail
my() { mariadb --protocol=tcp -h"$PRECINCT_HOST" -P"$PRECINCT_PORT" "$@"; }
expect() { # expect WHAT WANTED GOT
  if [ "$2" != "$3" ]; then
    printf '%s\nwanted: %s\ngot:    %s\n' "$1" "$2" "$3"
    exit 1
  fi
}
fails_with() { # fails_with TEXT COMMAND...
  local text=$1 out
  shift
  if out=$("$@" 2>&1); then echo "should have failed with $text: $*"; exit 1; fi
  case "$out" in *"$text"*) ;; *) echo "wanted '$text', got '$out'"; exit 1 ;; esac
}

my -uroot -e "DROP DATABASE IF EXISTS cli; CREATE DATABASE cli; USE cli;
 CREATE TABLE t (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), amount DECIMAL(10,2), at DATETIME(6), UNIQUE KEY name (name));
 INSERT INTO t (name, amount, at) VALUES ('Ana', 1.5, '2018-07-01 10:00:00.25'), ('伟', -2, NULL), (NULL, NULL, NULL)"
expect "rows" "$(printf '1\tAna\t1.50\t2018-07-01 10:00:00.250000\n2\t伟\t-2.00\tNULL\n3\tNULL\tNULL\tNULL')" "$(my -uroot -N cli -e 'SELECT * FROM t ORDER BY id')"
expect "several statements" "$(printf '1\n2')" "$(my -uroot -N -e 'SELECT 1; SELECT 2')"
expect "another node" 3 "$(mariadb --protocol=tcp -h"$PRECINCT_HOST" -P"$PRECINCT_PORT_2" -uroot -N cli -e 'SELECT COUNT(*) FROM t')"
expect "socket" 3 "$(mariadb --protocol=socket -S"$PRECINCT_SOCKET" -uroot -N cli -e 'SELECT COUNT(*) FROM t')"
expect "big" "100000	49975000.00" "$(my -uroot -N smoke -e 'SELECT COUNT(*), SUM(amount) FROM big')"
expect "big rows" 100000 "$(my -uroot -N -q smoke -e 'SELECT * FROM big' | wc -l)"
expect "wrong password" 1 "$(my -uapp -pwrong -e 'SELECT 1' 2>&1 | grep -c "ERROR 1045 (28000): Access denied for user 'app'@")"
expect "password in clear over TLS" 7 "$(my --ssl -uapp -p"$PRECINCT_PASSWORD" -N -e 'SELECT 7')"
expect "native password" 7 "$(my -ulegacy -p"$PRECINCT_PASSWORD" -N -e 'SELECT 7')"
expect "cipher" 1 "$(my --ssl -uapp -p"$PRECINCT_PASSWORD" -e status | grep -c 'Cipher in use is')"
fails_with "ERROR 1064 (42000) at line 1: You have an error in your SQL syntax" my -uroot -e 'SELEC 1'
fails_with "near 'SELEC 1' at line 1" my -uroot -e 'SELEC 1'
fails_with "ERROR 1146 (42S02) at line 1: Table 'cli.none' doesn't exist" my -uroot cli -e 'SELECT * FROM none'
fails_with "ERROR 1054 (42S22) at line 1: Unknown column 'x' in 'field list'" my -uroot cli -e 'SELECT x FROM t'
fails_with "ERROR 1049 (42000)" my -uroot -e 'USE nowhere'
fails_with "ERROR 1062 (23000) at line 1: Duplicate entry 'Ana' for key 't.name'" my -uroot cli -e "INSERT INTO t (name) VALUES ('Ana')"
fails_with "ERROR 1048 (23000) at line 1: Column 'id' cannot be null" my -uroot smoke -e "INSERT INTO big VALUES (NULL, 'a', 1)"
fails_with "ERROR 1264 (22003) at line 1: Out of range value for column 'id' at row 1" my -uroot smoke -e "INSERT INTO big VALUES (99999999999, 'a', 1)"
fails_with "ERROR 1406 (22001) at line 1: Data too long for column 'name' at row 1" my -uroot smoke -e "INSERT INTO big VALUES (200000, REPEAT('a', 41), 1)"
fails_with "ERROR 1365 (22012) at line 1: Division by 0" my -uroot smoke -e "INSERT INTO big VALUES (200000, 'a', 1/0)"
expect "nothing was stored" 0 "$(my -uroot -N smoke -e 'SELECT COUNT(*) FROM big WHERE id > 100000')"
my -uroot cli -e 'SHOW TABLES; SHOW CREATE TABLE t; SHOW COLUMNS FROM t; SHOW INDEX FROM t; SHOW VARIABLES LIKE "version"; SHOW SHARDS; SHOW WARNINGS; DESCRIBE t; EXPLAIN SELECT * FROM t WHERE id = 1' >/dev/null
expect "statistics" 1 "$(my -uroot -e status | grep -c 'Uptime')"
