#!/usr/bin/env python3
"""What the language costs, each figure beside what is asked of it, and beside MariaDB in the same run.

    parse   a trivial SELECT, a report of thirty lines, a point query whose plan is known: what criterion measured (benches/sql/)
    tpch    TPC-H's 22 queries: times of both in turn, answers equal
    scan    COUNT, SUM and GROUP BY over all rows of a big table
    range   a range of 100 rows by the primary key: CPU time per row, all processes

The rows of tpch come from DuckDB (tests/tpc); MariaDB gets a buffer that holds everything. Each query is asked of both in
turn, round after round; the median counts. Nothing fails because of a figure: a bar that does not hold is printed as such.
A run of some parts (--parts) only prints; a whole run writes sql.md to --out.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import time

import pymysql

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/tpc"))
from quick import MariaDb, Precinct, cpu_seconds  # noqa: E402
from run import KEYS, ask, definition, difference, for_mysql, reference  # noqa: E402, F401

PARTS = ["parse", "tpch", "scan", "range"]
PORT, MARIA_PORT = 18_500, 18_560
QUERY_SECONDS_MAX = 1_200
PARSE_TRIVIAL_US_MAX, PARSE_REPORT_US_MAX, POINT_ALLOCATIONS_MAX = 1, 20, 10
TPCH_TOTAL_MAX, TPCH_ONE_MAX, SCAN_MIN, RANGE_US_MAX = 0.5, 2, 3, 1
RANGE_ROWS, RANGE_QUERIES = 100, 2_000
SCANS = {
    "COUNT": "SELECT COUNT(*) FROM big",
    "SUM": "SELECT SUM(amount), MIN(amount), MAX(amount) FROM big",
    "GROUP BY": "SELECT kind, COUNT(*), SUM(amount) FROM big GROUP BY kind ORDER BY kind",
}


class Results:
    """Rows of the table: what, the figure, what is asked of it, whether that holds."""

    def __init__(self):
        self.rows = []

    def add(self, part, what, shown, bar="", holds=None):
        self.rows.append((part, what, shown, bar, {None: "–", True: "yes", False: "**no**"}[holds]))
        verdict = {None: "", True: "  holds", False: "  DOES NOT HOLD"}[holds]
        print(f"{part}: {what}: {shown}{f'  (bar: {bar})' if bar else ''}{verdict}", flush=True)


def parse(options, results):
    def microseconds(name):
        path = options.criterion / name / "new/estimates.json"
        return json.loads(path.read_text())["median"]["point_estimate"] / 1000

    for name, most in (("trivial", PARSE_TRIVIAL_US_MAX), ("point", None), ("report", PARSE_REPORT_US_MAX)):
        took = microseconds(f"sql_parse/{name}")
        results.add("parse", f"parse: {name}", f"{took:.2f} µs", f"≤ {most} µs" if most else "", took <= most if most else None)
    results.add("parse", "the template of a point query", f"{microseconds('sql_template/point'):.2f} µs")
    results.add("parse", "a point query in a session, its shard in memory", f"{microseconds('sql_session/point'):.2f} µs")
    for what, count in re.findall(r"^allocations: (.*): (\d+)$", options.log.read_text(), re.M):
        is_point = what.startswith("point query")
        results.add("parse", f"allocations: {what}", count, f"≤ {POINT_ALLOCATIONS_MAX} for its plan" if is_point else "")


class Both:
    """The two engines, each with a session in a database `tpc`."""

    def __init__(self, options, folder):
        self.ours = Precinct(options.precinct, folder, 1, PORT, {"PRECINCT_SHARDS": str(options.shards)})
        self.theirs = MariaDb(folder, MARIA_PORT)
        self.sessions = {}
        for name, port in (("ours", PORT), ("theirs", MARIA_PORT)):
            connection = pymysql.connect(host="127.0.0.1", port=port, user="root", local_infile=True, autocommit=True, read_timeout=QUERY_SECONDS_MAX)
            with connection.cursor() as cursor:
                if name == "theirs":
                    cursor.execute(f"SET GLOBAL innodb_buffer_pool_size = {4 << 30}")
                    cursor.execute("SET GLOBAL local_infile = 1")
                cursor.execute("CREATE DATABASE tpc")
                cursor.execute("USE tpc")
            self.sessions[name] = connection

    def define(self, text):
        with self.sessions["ours"].cursor() as cursor:
            cursor.execute(text)
        with self.sessions["theirs"].cursor() as cursor:
            cursor.execute(re.sub(r" shardkey=\w+", "", text).replace("utf8mb4_0900_bin", "utf8mb4_bin"))

    def load(self, path, table):
        for connection in self.sessions.values():
            with connection.cursor() as cursor:
                cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table}")

    def timed(self, query, rounds):
        """Median seconds of both, and the answers of the last round."""
        times, answers = {"ours": [], "theirs": []}, {}
        for number in range(rounds + 1):
            order = ["ours", "theirs"] if number % 2 else ["theirs", "ours"]
            for name in order:
                rows, error, seconds = ask(self.sessions[name], query)
                if error:
                    raise SystemExit(f"{name}: {query[:200]}: {error}")
                answers[name] = rows
                if number:
                    # The first round warms up.
                    times[name].append(seconds)
        return statistics.median(times["ours"]), statistics.median(times["theirs"]), answers

    def stop(self):
        self.ours.stop()
        self.theirs.stop()


def tpch(options, results, both, folder):
    base = reference("tpch", options.scale)
    for (table,) in base.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall():
        path = folder / f"{table}.tsv"
        base.execute(f"COPY {table} TO '{path}' (DELIMITER '\t', HEADER false, NULLSTR '\\N', QUOTE '')")
        both.define(definition(base, table))
        both.load(path, table)
        path.unlink()
    with both.sessions["theirs"].cursor() as cursor:
        # What a database administrator would add there; ours has no statistics to collect.
        for table, column in (("lineitem", "l_partkey"), ("lineitem", "l_suppkey"), ("orders", "o_custkey"), ("partsupp", "ps_suppkey"), ("customer", "c_nationkey"), ("supplier", "s_nationkey")):
            cursor.execute(f"CREATE INDEX by_{column} ON {table} ({column})")
        cursor.execute("ANALYZE TABLE lineitem, orders, partsupp, customer, supplier, part, nation, region")
    total, worst, wrong = [0.0, 0.0], 0.0, []
    for number, query in base.execute("SELECT query_nr, query FROM tpch_queries()").fetchall():
        ours, theirs, answers = both.timed(for_mysql(query), options.rounds)
        found = difference(answers["ours"], base.execute(query).fetchall())
        if found:
            wrong.append(number)
        total[0] += ours
        total[1] += theirs
        worst = max(worst, ours / theirs)
        results.add("tpch", f"query {number}", f"{ours:.2f} s, MariaDB {theirs:.2f} s: {ours / theirs:.2f}{', WRONG' if found else ''}")
    ratio = total[0] / total[1]
    results.add("tpch", f"all, scale factor {options.scale}", f"{total[0]:.1f} s, MariaDB {total[1]:.1f} s: {ratio:.2f}", f"≤ {TPCH_TOTAL_MAX}", ratio <= TPCH_TOTAL_MAX)
    results.add("tpch", "the worst of them", f"{worst:.2f} of MariaDB's time", f"≤ {TPCH_ONE_MAX}", worst <= TPCH_ONE_MAX)
    results.add("tpch", "wrong answers", ", ".join(map(str, wrong)) or "none", "none", not wrong)


def scan(options, results, both, folder):
    path = folder / "big.tsv"
    with path.open("w") as out:
        for number in range(options.rows):
            out.write(f"{number}\t{number % 97}\t{number * 7919 % 100_003}.{number % 100:02}\n")
    both.define("CREATE TABLE big (id BIGINT PRIMARY KEY, kind INT NOT NULL, amount DECIMAL(12,2) NOT NULL) COLLATE utf8mb4_0900_bin")
    both.load(path, "big")
    path.unlink()
    for name, query in SCANS.items():
        ours, theirs, answers = both.timed(query, options.rounds)
        if difference(answers["ours"], answers["theirs"]):
            raise SystemExit(f"different answers: {query}")
        results.add("scan", f"{name} over {options.rows:,} rows", f"{ours:.2f} s, MariaDB {theirs:.2f} s: {theirs / ours:.2f} times as fast", f"≥ {SCAN_MIN}", theirs / ours >= SCAN_MIN)


def ranges(options, results, both, _):
    for name, pids in (("ours", both.ours.pids), ("theirs", both.theirs.pids)):
        before = cpu_seconds(pids)
        with both.sessions[name].cursor() as cursor:
            for number in range(RANGE_QUERIES):
                first = number * 4_999 % (options.rows - RANGE_ROWS)
                cursor.execute(f"SELECT id, kind, amount FROM big WHERE id BETWEEN {first} AND {first + RANGE_ROWS - 1}")
                cursor.fetchall()
        used = (cpu_seconds(pids) - before) / RANGE_QUERIES / RANGE_ROWS * 1e6
        bar = name == "ours"
        results.add("range", f"a range of {RANGE_ROWS} rows{'' if bar else ', MariaDB'}", f"{used:.2f} µs CPU per row", f"≤ {RANGE_US_MAX} µs" if bar else "", used <= RANGE_US_MAX if bar else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precinct", required=True)
    parser.add_argument("--scale", default="1", help="scale factor of TPC-H: 1 makes about 1 GB")
    parser.add_argument("--shards", type=int, default=8, help="data shards of our node")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the big table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--criterion", type=pathlib.Path, help="where criterion left its figures")
    parser.add_argument("--log", type=pathlib.Path, help="what the benchmark printed")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results")
    options = parser.parse_args()
    results = Results()
    if "parse" in options.parts:
        parse(options, results)
    if set(options.parts) - {"parse"}:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="precinct-bench-sql-"))
        both = Both(options, folder)
        try:
            if "tpch" in options.parts:
                tpch(options, results, both, folder)
            if "scan" in options.parts or "range" in options.parts:
                scan(options, results, both, folder)
            if "range" in options.parts:
                ranges(options, results, both, folder)
        finally:
            both.stop()
            shutil.rmtree(folder, ignore_errors=True)
    if options.parts == PARTS:
        lines = [f"# bench-sql, {datetime.date.today()}", "", f"{os.cpu_count()} cores; scale factor {options.scale}, {options.shards} data shards on one node; medians of {options.rounds} rounds in turn.", "",
                 "| part | what | figure | bar | holds |", "|---|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in results.rows)]  # fmt: skip
        (options.out / "sql.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
