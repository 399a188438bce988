#!/usr/bin/env python3
"""TPC-H's 22 and TPC-DS's first 30 queries: our answers beside DuckDB's.

DuckDB makes the rows and knows the queries (its extensions tpch and tpcds); they are loaded into a `precinct demo` and asked
of both. Only what the two dialects write differently is rewritten: `for_mysql`. Rows are compared as sets that may hold a
row twice; numbers to nine digits, or to the last digit of a DECIMAL of ours.

An answer that is missing or different is printed and ends the run with 1. Times are printed and judge nothing.
"""

import argparse
import collections
import decimal
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

import duckdb
import duckdb_extension_tpcds
import duckdb_extension_tpch
import pymysql

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
from quick import Precinct  # noqa: E402

# Columns that name a row, and the sharding key that keeps what is joined together. Other tables: their first column.
KEYS = {
    "lineitem": ("l_orderkey, l_linenumber", "l_orderkey"),
    "partsupp": ("ps_partkey, ps_suppkey", "ps_partkey"),
    "store_sales": ("ss_item_sk, ss_ticket_number", "ss_item_sk"),
    "store_returns": ("sr_item_sk, sr_ticket_number", "sr_item_sk"),
    "catalog_sales": ("cs_item_sk, cs_order_number", "cs_item_sk"),
    "catalog_returns": ("cr_item_sk, cr_order_number", "cr_item_sk"),
    "web_sales": ("ws_item_sk, ws_order_number", "ws_item_sk"),
    "web_returns": ("wr_item_sk, wr_order_number", "wr_item_sk"),
    "inventory": ("inv_date_sk, inv_item_sk, inv_warehouse_sk", "inv_item_sk"),
}
QUERIES = {"tpch": range(1, 23), "tpcds": range(1, 31)}
PORTS = {"tpch": 18_100, "tpcds": 18_200}
QUERY_SECONDS_MAX = 600
# Digits that a quotient of DECIMALs has more than its dividend: enough that it can be compared with a double.
DIVISION_DIGITS = 12
RELATIVE_ERROR_MAX = 1e-9
ROWS_SHOWN_MAX = 5


def reference(suite, scale):
    """DuckDB with the rows of a suite."""
    base = duckdb.connect(config={"autoinstall_known_extensions": False})
    module = {"tpch": duckdb_extension_tpch, "tpcds": duckdb_extension_tpcds}[suite]
    folder = pathlib.Path(list(module.__path__)[0])
    base.load_extension(str(next(folder.glob(f"extensions/*/{suite}.duckdb_extension"))))
    # Where MySQL sorts NULL.
    base.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
    base.execute(f"CALL {'dbgen' if suite == 'tpch' else 'dsdgen'}(sf={scale})")
    return base


def for_mysql(query):
    """A query as MySQL writes it."""
    query = query.strip().rstrip(";")
    query = re.sub(r"\bNULLS\s+FIRST\b", "", query, flags=re.I)
    query = re.sub(r"\bDESC\s+NULLS\s+LAST\b", "DESC", query, flags=re.I)
    # A blank before its parenthesis makes a function a name (9.2.5).
    query = re.sub(r"\bCAST\s+\(", "CAST(", query, flags=re.I)
    query = re.sub(r"\bGROUP\s+BY\s+ROLLUP\s*\(([^()]*)\)", r"GROUP BY \1 WITH ROLLUP", query, flags=re.I)
    query = re.sub(r"\bCAST\(([^()]+) AS (?:integer|bigint)\)", r"CAST(\1 AS SIGNED)", query, flags=re.I)
    return query


def definition(base, table):
    """CREATE TABLE of a table of DuckDB."""
    columns = []
    described = base.execute(f"DESCRIBE {table}").fetchall()
    key, shard_key = KEYS.get(table, (described[0][0], described[0][0]))
    keys = {name.strip() for name in key.split(",")}
    for name, kind, *_ in described:
        if kind == "VARCHAR":
            longest = base.execute(f"SELECT coalesce(max(length({name})), 0) FROM {table}").fetchone()[0]
            kind = f"VARCHAR({max(longest, 16)})"
        columns.append(f"{name} {kind}{' NOT NULL' if name in keys else ''}")
    return f"CREATE TABLE {table} ({', '.join(columns)}, PRIMARY KEY ({key})) COLLATE utf8mb4_0900_bin shardkey={shard_key}"


def load(base, connection, folder):
    """Every table and its rows; the number of rows."""
    rows = 0
    for (table,) in base.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall():
        path = folder / f"{table}.tsv"
        base.execute(f"COPY {table} TO '{path}' (DELIMITER '\t', HEADER false, NULLSTR '\\N', QUOTE '')")
        with connection.cursor() as cursor:
            cursor.execute(definition(base, table))
            loaded = cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table}")
            wanted = base.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if loaded != wanted:
                raise SystemExit(f"{table}: {loaded} of {wanted} rows were loaded")
            rows += loaded
        path.unlink()
    return rows


def equal(ours, theirs):
    """Whether two values are the same answer."""
    if ours is None or theirs is None:
        return ours is theirs
    numbers = (int, float, decimal.Decimal)
    if isinstance(ours, numbers) and isinstance(theirs, numbers):
        slack = RELATIVE_ERROR_MAX * max(abs(float(ours)), abs(float(theirs)))
        if isinstance(ours, decimal.Decimal):
            slack = max(slack, 10.0 ** ours.as_tuple().exponent)
        return abs(float(ours) - float(theirs)) <= slack
    return str(ours) == str(theirs)


def order(row):
    """What rows of both sides are sorted by: numbers by their first digits."""
    shown = []
    for value in row:
        if isinstance(value, (int, float, decimal.Decimal)):
            shown.append((1, f"{float(value):+.5e}"))
        else:
            shown.append((0, "") if value is None else (2, str(value)))
    return shown


def difference(ours, theirs):
    """What is different between two answers; empty when nothing is."""
    if len(ours) != len(theirs):
        counted = collections.Counter(map(str, map(order, ours)))
        counted.subtract(collections.Counter(map(str, map(order, theirs))))
        odd = [f"{'+' if count > 0 else '-'} {row}" for row, count in counted.items() if count]
        return [f"{len(ours)} rows instead of {len(theirs)}", *odd[:ROWS_SHOWN_MAX]]
    same = lambda a, b: len(a) == len(b) and all(map(equal, a, b))
    if all(map(same, ours, theirs)):
        return []
    pairs = zip(sorted(ours, key=order), sorted(theirs, key=order))
    return [f"{tuple(map(str, a))} instead of {tuple(map(str, b))}" for a, b in pairs if not same(a, b)][:ROWS_SHOWN_MAX]


def ask(connection, query):
    """Rows, or the error; and the seconds."""
    started = time.monotonic()
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            rows = [tuple(row) for row in cursor.fetchall()]
        return rows, None, time.monotonic() - started
    except pymysql.MySQLError as error:
        return None, str(error), time.monotonic() - started


def run(options, shards, base, folder):
    """All queries on a cluster of so many data shards; the number of wrong answers."""
    place = folder / f"{shards}-shards"
    place.mkdir()
    cluster = Precinct(options.precinct, place, 1, PORTS[options.suite], {"PRECINCT_SHARDS": str(shards)})
    wrong, seconds_of_all = 0, 0.0
    try:
        connect = lambda: pymysql.connect(host="127.0.0.1", port=PORTS[options.suite], user="root", local_infile=True, read_timeout=QUERY_SECONDS_MAX,
                                          database="tpc", autocommit=True)  # fmt: skip
        with pymysql.connect(host="127.0.0.1", port=PORTS[options.suite], user="root", autocommit=True) as first, first.cursor() as cursor:
            cursor.execute("CREATE DATABASE tpc")
        connection = connect()
        started = time.monotonic()
        rows = load(base, connection, place)
        print(f"{options.suite}: {rows:,} rows on {shards} data shards after {time.monotonic() - started:.1f} s", flush=True)
        queries = dict(base.execute(f"SELECT query_nr, query FROM {options.suite}_queries()").fetchall())
        for number in options.query or QUERIES[options.suite]:
            if not connection.open:
                connection = connect()
            ask(connection, f"SET div_precision_increment = {DIVISION_DIGITS}")
            ours, error, seconds = ask(connection, for_mysql(queries[number]))
            started = time.monotonic()
            theirs = base.execute(queries[number]).fetchall()
            found = [error] if error else difference(ours, theirs)
            seconds_of_all += seconds
            verdict = "WRONG" if found else "equal"
            print(f"{options.suite} {number:2}, {shards} shards: {verdict}, {len(theirs)} rows, {seconds:.2f} s (DuckDB {time.monotonic() - started:.2f} s)", flush=True)
            for line in found:
                print(f"    {line}", flush=True)
            wrong += bool(found)
        print(f"{options.suite}, {shards} shards: {wrong} wrong, {seconds_of_all:.1f} s in all", flush=True)
        return wrong
    finally:
        cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=["tpch", "tpcds"])
    parser.add_argument("--scale", default="0.01", help="scale factor: 1 makes about 1 GB")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 8], help="data shards, a cluster for each number")
    parser.add_argument("--query", type=int, nargs="+", help="only these queries")
    parser.add_argument("--precinct", default=os.environ.get("PRECINCT_BIN", "precinct"))
    options = parser.parse_args()
    base = reference(options.suite, options.scale)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="precinct-tpc-"))
    try:
        wrong = sum(run(options, shards, base, folder) for shards in options.shards)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
