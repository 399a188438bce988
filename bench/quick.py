#!/usr/bin/env python3
"""sysbench against PrecinctDB (1 and 3 replicas) and MariaDB in one interleaved run.

Every system runs the same workload in short slices, one after the other and round after round, so that other load on
the machine meets all of them alike. For each cell the median over the rounds is reported: throughput, p99 latency and
the CPU time that all processes of the system used per operation. Ratios are against MariaDB of the same run.

MariaDB runs with sync_binlog=1 and innodb_flush_log_at_trx_commit=1: an acknowledged write is synced, as ours is by a
quorum. Everything listens on the loopback address and lives in a scratch folder that is removed at the end.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TABLE_ROWS = 100_000
WORKLOADS = ["select_1", "oltp_point_select", "oltp_update_index", "oltp_insert", "oltp_read_write"]
CLIENTS = [8, 32]
SELECT_ONE = """
function thread_init() drv = sysbench.sql.driver(); con = drv:connect() end
function event() con:query("SELECT 1") end
function thread_done() con:disconnect() end
"""
# One row that everybody changes; a transaction of two rows with one sharding key, and one of two rows with two.
CONTENDED = {
    "hot_row": 'con:query("UPDATE pairs SET n = n + 1 WHERE g = 1 AND id = 1")',
    "one_shard_transaction": """
    local g = math.random(1, GROUPS)
    con:query("BEGIN")
    con:query("UPDATE pairs SET n = n + 1 WHERE g = " .. g .. " AND id = 1")
    con:query("UPDATE pairs SET n = n + 1 WHERE g = " .. g .. " AND id = 2")
    con:query("COMMIT")""",
    "two_shard_transaction": """
    local g = math.random(1, GROUPS - 1)
    con:query("BEGIN")
    con:query("UPDATE pairs SET n = n + 1 WHERE g = " .. g .. " AND id = 1")
    con:query("UPDATE pairs SET n = n + 1 WHERE g = " .. g + 1 .. " AND id = 2")
    con:query("COMMIT")""",
}
CONTENDED_FRAME = """
GROUPS = 10000
function thread_init() drv = sysbench.sql.driver(); con = drv:connect(); math.randomseed(sysbench.tid + os.time()) end
function event() {} end
function thread_done() con:disconnect() end
"""
CONTENDED_GROUPS = 10_000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def run(command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options)


def cpu_seconds(pids):
    """User and system time of processes, proc(5) fields 14 and 15, all threads."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        fields = text[text.rindex(")") + 2 :].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_SECOND


def resident_bytes(pids):
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in pids)


class Precinct:
    sharded = " shardkey=g"

    def __init__(self, binary, folder, nodes, port, settings=None):
        """`settings`: variables of the environment that say more about the cluster (docs/reference/configuration.md)."""
        self.name = f"precinct, {nodes} replica{'s' if nodes > 1 else ''}"
        self.port = port
        self.binary = binary
        ready = folder / f"ready-{nodes}.json"
        started = time.monotonic()
        self.demo = subprocess.Popen(
            [binary, "demo", "--sample", "none", "--nodes", str(nodes), "--data", folder / f"precinct-{nodes}",
             "--mysql-port", str(port), "--http-port", str(port + 20), "--node-port", str(port + 40), "--ready-file", ready],
            stdin=subprocess.DEVNULL, stdout=(folder / f"demo-{nodes}.log").open("w"), stderr=subprocess.STDOUT,
            env={**os.environ, **(settings or {})})  # fmt: skip
        while not ready.exists():
            if self.demo.poll() is not None or time.monotonic() - started > 60:
                sys.exit((folder / f"demo-{nodes}.log").read_text())
            time.sleep(0.05)
        self.ready_seconds = time.monotonic() - started
        self.pids = list(json.loads(ready.read_text())["pids"].values())

    def stop(self):
        subprocess.run([self.binary, "demo", "stop", "--mysql-port", str(self.port)], capture_output=True)
        try:
            self.demo.wait(30)
        except subprocess.TimeoutExpired:
            self.demo.kill()


class MariaDb:
    name = "mariadb"

    def __init__(self, folder, port):
        self.port = port
        data = folder / "mariadb"
        user = ["--user=root"] if os.geteuid() == 0 else []
        run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *user])
        started = time.monotonic()
        self.server = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/maria.sock",
             "--innodb-buffer-pool-size=512M", "--innodb-flush-log-at-trx-commit=1", "--log-bin=binlog", "--sync-binlog=1", "--server-id=1",
             "--max-connections=200", *user],
            stdin=subprocess.DEVNULL, stdout=(folder / "mariadb.log").open("w"), stderr=subprocess.STDOUT)  # fmt: skip
        while subprocess.run(self.client("SELECT 1"), capture_output=True).returncode:
            if self.server.poll() is not None or time.monotonic() - started > 60:
                sys.exit((folder / "mariadb.log").read_text())
            time.sleep(0.1)
        self.ready_seconds = time.monotonic() - started
        self.pids = [self.server.pid]

    sharded = ""

    def client(self, sql):
        return ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-uroot", "-e", sql]

    def stop(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(60)


def prepare(system, folder):
    """The table of sysbench's oltp scripts, loaded the same way everywhere; its secondary index is part of CREATE TABLE."""
    rng = random.Random(1)
    rows = folder / "sbtest.tsv"
    if not rows.exists():
        with rows.open("w") as out:
            for number in range(1, TABLE_ROWS + 1):
                group = lambda count: "-".join(f"{rng.randrange(10**11):011d}" for _ in range(count))
                out.write(f"{number}\t{rng.randint(1, TABLE_ROWS)}\t{group(10)}\t{group(5)}\n")
    base = ["mariadb", "--no-defaults", "--local-infile=1", "-h127.0.0.1", f"-P{system.port}", "-uroot"]
    run([*base, "-e", "CREATE DATABASE sbtest; CREATE TABLE sbtest.sbtest1 (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, "
         "c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k))"])  # fmt: skip
    started = time.monotonic()
    run([*base, "sbtest", "-e", f"LOAD DATA LOCAL INFILE '{rows}' INTO TABLE sbtest1"])
    loaded = time.monotonic() - started
    pairs = folder / "pairs.tsv"
    pairs.write_text("".join(f"{g}\t{number}\t0\n" for g in range(1, CONTENDED_GROUPS + 1) for number in (1, 2)))
    run([*base, "sbtest", "-e", f"CREATE TABLE pairs (g INT NOT NULL, id INT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (g, id)){system.sharded}; "
         f"LOAD DATA LOCAL INFILE '{pairs}' INTO TABLE pairs"])  # fmt: skip
    return loaded


def median_ms(histogram):
    """The middle of sysbench's histogram: lines of `milliseconds |**** count`."""
    counts = [(float(ms), int(count)) for ms, count in re.findall(r"^\s+([\d.]+) \|\**\s+(\d+)$", histogram, re.MULTILINE)]
    left = sum(count for _, count in counts) / 2
    for ms, count in counts:
        left -= count
        if left <= 0:
            return ms
    return None


def slice_of(system, workload, clients, seconds, folder):
    ours = folder / f"{workload}.lua"
    script = str(ours) if ours.exists() else workload
    before = cpu_seconds(system.pids)
    started = time.monotonic()
    command = ["sysbench", script, "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={system.port}", "--mysql-user=root",
               "--mysql-db=sbtest", f"--threads={clients}", f"--time={seconds}", "--events=0", "--percentile=99", "--histogram=on", "--report-interval=0",
               "--mysql-ignore-errors=1213,1205,1020"]  # fmt: skip
    if not ours.exists():
        command += [f"--table-size={TABLE_ROWS}", "--tables=1"]
    result = subprocess.run([*command, "run"], text=True, capture_output=True)
    wall = time.monotonic() - started
    if result.returncode:
        return {"error": (result.stdout + result.stderr)[-600:]}
    used = cpu_seconds(system.pids) - before
    events = int(re.search(r"total number of events:\s+(\d+)", result.stdout)[1])
    total = float(re.search(r"total time:\s+([\d.]+)s", result.stdout)[1])
    p99 = float(re.search(r"99th percentile:\s+([\d.]+)", result.stdout)[1])
    ignored = int(re.search(r"ignored errors:\s+(\d+)", result.stdout)[1])
    return {"per_second": events / total, "p50_ms": median_ms(result.stdout), "p99_ms": p99, "cpu_us": used / max(events, 1) * 1e6, "ignored_errors": ignored, "wall_s": wall}


def cores():
    return len(os.sched_getaffinity(0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precinct", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=4, help="length of one slice")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="*", default=CLIENTS)
    parser.add_argument("--workloads", nargs="*", default=WORKLOADS, choices=[*WORKLOADS, *CONTENDED])
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="precinct-bench-"))
    (folder / "select_1.lua").write_text(SELECT_ONE)
    for name, event in CONTENDED.items():
        (folder / f"{name}.lua").write_text(CONTENDED_FRAME.replace("{}", event))
    systems = []
    try:
        systems.append(MariaDb(folder, 16_306))
        systems.append(Precinct(options.precinct, folder, 1, 16_400))
        systems.append(Precinct(options.precinct, folder, 3, 16_500))
        facts = {}
        for system in systems:
            idle = resident_bytes(system.pids)
            loaded = prepare(system, folder)
            facts[system.name] = {"ready_s": system.ready_seconds, "idle_resident_mib": idle / 2**20, "load_rows_per_s": TABLE_ROWS / loaded}
        cells = {}
        for round_number in range(options.rounds):
            for workload in options.workloads:
                for clients in options.clients:
                    for system in systems:
                        figures = slice_of(system, workload, clients, options.seconds, folder)
                        cells.setdefault((workload, clients, system.name), []).append(figures)
                        shown = figures.get("error") or f"{figures['per_second']:.0f}/s"
                        print(f"round {round_number + 1} {workload} {clients} clients {system.name}: {shown}", flush=True)
        for system in systems:
            facts[system.name]["loaded_resident_mib"] = resident_bytes(system.pids) / 2**20
        report(options, systems, facts, cells)
    finally:
        for system in systems:
            system.stop()
        shutil.rmtree(folder, ignore_errors=True)


def report(options, systems, facts, cells):
    def median(key, figure):
        values = [figures[figure] for figures in cells[key] if "error" not in figures]
        return statistics.median(values) if values else None

    rows = []
    for workload in options.workloads:
        for clients in options.clients:
            base = median((workload, clients, "mariadb"), "per_second")
            base_cpu = median((workload, clients, "mariadb"), "cpu_us")
            for system in systems:
                key = (workload, clients, system.name)
                row = {"workload": workload, "clients": clients, "system": system.name, "errors": [f["error"] for f in cells[key] if "error" in f]}
                for figure in ["per_second", "p50_ms", "p99_ms", "cpu_us", "ignored_errors"]:
                    row[figure] = median(key, figure)
                row["throughput_ratio"] = row["per_second"] / base if row["per_second"] and base else None
                row["cpu_ratio"] = row["cpu_us"] / base_cpu if row["cpu_us"] and base_cpu else None
                rows.append(row)
    machine = {"cores": cores(), "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30), "kernel": os.uname().release}
    when = datetime.datetime.now(datetime.timezone.utc)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], text=True, capture_output=True).stdout.strip()
    head = {"date": when.isoformat(timespec="seconds"), "commit": commit, "machine": machine, "table_rows": TABLE_ROWS,
            "slice_seconds": options.seconds, "rounds": options.rounds, "systems": facts}  # fmt: skip
    number = lambda value, digits=0: "failed" if value is None else f"{value:,.{digits}f}"
    lines = [
        f"# bench-quick, {when:%Y-%m-%d}",
        "",
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, commit {commit or 'none'}; sysbench on the same cores. 1 table of {TABLE_ROWS:,} rows; median of "
        f"{options.rounds} rounds of {options.seconds} s, systems interleaved. MariaDB 10.11 with sync_binlog=1, innodb_flush_log_at_trx_commit=1. "
        "CPU is the sum over all processes of a system. An operation is one event of sysbench (a whole transaction in oltp_read_write).",
        "",
        "| workload | clients | system | ops/s | p50 ms | p99 ms | CPU µs/op | throughput ÷ MariaDB | CPU ÷ MariaDB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['workload']} | {row['clients']} | {row['system']} | {number(row['per_second'])} | {number(row['p50_ms'], 2)} | {number(row['p99_ms'], 2)} | "
            f"{number(row['cpu_us'])} | {number(row['throughput_ratio'], 2)} | {number(row['cpu_ratio'], 2)} |")  # fmt: skip
    lines += ["", "| system | ready after s | idle resident MiB | resident after load MiB | LOAD DATA rows/s |", "|---|---|---|---|---|"]
    for name, fact in facts.items():
        lines.append(f"| {name} | {fact['ready_s']:.1f} | {fact['idle_resident_mib']:.0f} | {fact['loaded_resident_mib']:.0f} | {fact['load_rows_per_s']:,.0f} |")
    failed = [f"- {row['workload']}, {row['clients']} clients, {row['system']}: {row['errors'][0].strip()}" for row in rows if row["errors"]]
    if failed:
        lines += ["", "Failed slices:", *failed]
    text = "\n".join(lines) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "quick.json").write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n")
    (options.out / "quick.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
