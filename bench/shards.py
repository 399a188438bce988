#!/usr/bin/env python3
"""What sharding costs and gains, each figure beside what is asked of it.

    micro       a key's shard, a round of the planners, load counters: what criterion measured before (benches/shards/)
    throughput  sysbench oltp_read_write at the same load on clusters of 1, 10 and 100 data shards, in turn
    pause       what clients feel while a shard is split and while its leader moves: p99 in windows of 250 ms
    move        bandwidth of a replica that moves to another node, against the limit that the configuration sets
    fill        how long a node that has joined takes until it has its share

Every cluster is a `precinct demo` on the loopback address, in a scratch folder that is removed at the end. Nothing fails
because of a figure: a bar that does not hold is printed as such. Shared machines are noisy: what is asked of throughput is a
ratio of slices that take turns, beside it stands the CPU time per transaction; what is asked of pauses stands beside the same
look at the same clients while nothing happens; what is asked of a move, beside a bare loop of writes and syncs.

A run of some parts (--parts) only prints; a whole run writes shards.md and shards.json to --out.
"""

import argparse
import base64
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from quick import Precinct, cores, cpu_seconds

PARTS = ["micro", "throughput", "pause", "move", "fill"]
# Ports of the clusters: each takes 60 from its first one on, and nodes that join some more.
PORTS = {"1": 17_100, "10": 17_200, "100": 17_300, "pause": 17_400, "move": 17_500, "fill": 17_600}
SHARD_COUNTS = [1, 10, 100]
THROUGHPUT_MIN = 0.7
SYSBENCH_TABLES = 4
SYSBENCH_ROWS = 10_000
SYSBENCH_THREADS = 8
# What clients feel: bars, and the looks at them.
PAUSE_FACTOR_MAX = 2
PAUSE_SECONDS_MAX = 1
WINDOW_SECONDS = 0.25
WARM_SECONDS = 2
AFTER_SECONDS = 5
POINT_ROWS = 10_000
POINT_CONNECTIONS = 16
# A move of a replica.
MOVE_SHARE_MIN = 0.5
ROW_BYTES = 4_000
LOAD_FILE_BYTES = 16 << 20
BARE_FILE_BYTES = 64 << 20
WAIT_SECONDS_MAX = 600
# Bars of what criterion measured.
ROUTE_NS_MAX = 200
PLAN_SECONDS_MAX_PER_100_000 = 1
SLOTS = 65_536
ESTIMATE_AGE_MAX = 6 * 3600


class Results:
    """Rows of the table: what, the figure, what is asked of it, whether that holds."""

    def __init__(self):
        self.rows = []

    def add(self, part, what, figure, shown, bar="", holds=None):
        self.rows.append({"part": part, "what": what, "figure": figure, "shown": shown, "bar": bar, "holds": holds})
        verdict = {None: "", True: "  holds", False: "  DOES NOT HOLD"}[holds]
        print(f"{part}: {what}: {shown}{f'  (bar: {bar})' if bar else ''}{verdict}", flush=True)

    def failed(self, part, what, why):
        """What could not be measured: no figure, and nothing said of its bar."""
        shown = "not measured: " + why.strip().replace("\n", " ").replace("|", "/")[-300:]
        self.rows.append({"part": part, "what": what, "figure": None, "shown": shown, "bar": "", "holds": None})
        print(f"{part}: {what}: {shown}", flush=True)


class Failed(Exception):
    """Something did not happen that a measurement needs."""


class Cluster(Precinct):
    def __init__(self, options, name, shards, settings=None):
        folder = options.folder / name
        folder.mkdir()
        self.folder, self.nodes = folder, options.nodes
        super().__init__(options.precinct, folder, options.nodes, PORTS[name], {"PRECINCT_SHARDS": str(shards), **(settings or {})})

    def client(self, *more):
        return ["mariadb", "--no-defaults", "--batch", "--local-infile=1", "-h127.0.0.1", f"-P{self.port}", "-uroot", *more]

    def sql(self, text):
        """Rows of a statement as dictionaries."""
        result = subprocess.run(self.client("-e", text), text=True, capture_output=True)
        if result.returncode:
            raise Failed(f"{text[:100]}: {result.stderr}")
        lines = [line.split("\t") for line in result.stdout.splitlines()]
        return [dict(zip(lines[0], line)) for line in lines[1:]]

    def data_shards(self):
        return [row for row in self.sql("SHOW SHARDS") if row["Shard"] != "0"]

    def steady(self):
        """Waits until every shard has a leader and nothing is under way."""

        def is_steady():
            return all(row["State"] == "ok" and row["Leader"].isdigit() for row in self.sql("SHOW SHARDS"))

        wait(is_steady, "every shard is ok")

    def add_node(self):
        """One more node; its number."""
        result = subprocess.run([self.binary, "demo", "add", "--mysql-port", str(self.port)], text=True, capture_output=True)
        if result.returncode:
            raise Failed(f"precinct demo add: {result.stderr}")
        self.nodes += 1
        return self.nodes

    def received(self, node):
        """Bytes of Raft snapshots that a node has received."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 20 + node - 1}/metrics", timeout=5) as answer:
            found = re.search(r"^precinct_raft_snapshot_received_bytes_total (\d+)", answer.read().decode(), re.MULTILINE)
        return int(found[1])

    def load(self, rows, table):
        """Rows of what no compression makes much smaller, in files of some MiB: (number, 4,000 characters)."""
        path = self.folder / "rows.tsv"
        first = 1
        while first <= rows:
            last = min(rows, first + LOAD_FILE_BYTES // ROW_BYTES - 1)
            with path.open("w") as out:
                for number in range(first, last + 1):
                    out.write(f"{number}\t{base64.b64encode(os.urandom(ROW_BYTES * 3 // 4)).decode()}\n")
            self.sql(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table}")
            first = last + 1
        path.unlink()


def wait(condition, what, pause=0.1):
    """Waits for a condition; the seconds that it took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > WAIT_SECONDS_MAX:
            raise Failed(f"after {WAIT_SECONDS_MAX} s it is still not so that {what}")
        time.sleep(pause)
    return time.monotonic() - started


def estimate(options, name):
    """The median that criterion wrote, nanoseconds; None when there is none of this run."""
    path = options.criterion / name / "new" / "estimates.json"
    if not path.exists() or time.time() - path.stat().st_mtime > ESTIMATE_AGE_MAX:
        return None
    return json.loads(path.read_text())["median"]["point_estimate"]


def micro(options, results):
    def add(what, name, shown, bar="", limit=None):
        found = estimate(options, name)
        if found is None:
            results.failed("micro", what, "criterion has written nothing lately; run cargo bench --bench shards")
        else:
            results.add("micro", what, found, shown(found), bar, None if limit is None else found <= limit)
        return found

    def nanoseconds(value):
        return f"{value:,.0f} ns"

    for shards in [8, 1_000, SLOTS]:
        for way, words in [("map", "in the shard map"), ("client", "from its key, as a node's transactions do it")]:
            add(f"a shard of {shards:,} found {words}", f"shard_route/{way}/{shards}", nanoseconds, f"≤ {ROUTE_NS_MAX} ns", ROUTE_NS_MAX)
    # A map has no more shards than slots: what is asked of 100,000 is asked of these in proportion.
    seconds_max = PLAN_SECONDS_MAX_PER_100_000 * SLOTS / 100_000
    for situation, words in [("even", "nothing to do"), ("joined", "ten nodes have joined"), ("silent", "a node is silent")]:
        add(f"a round of the planners, {SLOTS:,} shards × 3 on 1,000 nodes, {words}", f"shard_planners/{situation}",
            lambda value: f"{value / 1e9:.3f} s", f"≤ {seconds_max:.2f} s (1 s for 100,000 shards)", seconds_max * 1e9)  # fmt: skip
    read = add("a point read of a shard in memory, load counters included", "shard_counters/point_read", nanoseconds)
    add("the load counters of it", "shard_counters/alone", lambda value: nanoseconds(value) + (f", {value / read:.0%} of the read" if read else ""))


def throughput(options, results):
    clusters = {}
    rows = options.folder / "sbtest.tsv"
    rng = random.Random(1)
    with rows.open("w") as out:
        for number in range(1, SYSBENCH_ROWS + 1):
            group = lambda count: "-".join(f"{rng.randrange(10**11):011d}" for _ in range(count))
            out.write(f"{number}\t{rng.randint(1, SYSBENCH_ROWS)}\t{group(10)}\t{group(5)}\n")
    try:
        for shards in SHARD_COUNTS:
            cluster = clusters[shards] = Cluster(options, str(shards), shards)
            cluster.sql("CREATE DATABASE sbtest")
            for table in range(1, SYSBENCH_TABLES + 1):
                name = f"sbtest.sbtest{table}"
                cluster.sql(f"CREATE TABLE {name} (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', "
                            f"pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_{table} (k))")  # fmt: skip
                cluster.sql(f"LOAD DATA LOCAL INFILE '{rows}' INTO TABLE {name}")
            cluster.steady()
        slices = {shards: [] for shards in SHARD_COUNTS}
        for number in range(-1, options.rounds):
            # The first round warms up. Each one begins with another cluster.
            turn = number % len(SHARD_COUNTS)
            for shards in SHARD_COUNTS[turn:] + SHARD_COUNTS[:turn]:
                figures = sysbench(clusters[shards], options.seconds)
                if number >= 0:
                    slices[shards].append(figures)
                    print(f"throughput: round {number + 1}, {shards} shards: {figures['per_second']:.0f}/s, {figures['cpu_us']:.0f} µs CPU each", flush=True)
    finally:
        for cluster in clusters.values():
            cluster.stop()

    def median(shards, figure):
        return statistics.median(figures[figure] for figures in slices[shards])

    def ratio(shards, figure):
        pairs = zip(slices[shards], slices[SHARD_COUNTS[0]])
        return statistics.median(figures[figure] / base[figure] for figures, base in pairs)

    for shards in SHARD_COUNTS:
        shown = f"{median(shards, 'per_second'):,.0f}/s, p99 {median(shards, 'p99_ms'):.1f} ms, CPU {median(shards, 'cpu_us'):,.0f} µs each, {median(shards, 'ignored'):.0f} conflicts"
        results.add("throughput", f"oltp_read_write, {SYSBENCH_THREADS} clients, data shards: {shards}", median(shards, "per_second"), shown)
    for shards in SHARD_COUNTS[1:]:
        kept, last = ratio(shards, "per_second"), shards == SHARD_COUNTS[-1]
        results.add("throughput", f"{shards} shards ÷ 1 shard", kept, f"{kept:.2f} of the throughput, {ratio(shards, 'cpu_us'):.2f} times the CPU",
                    f"≥ {THROUGHPUT_MIN}" if last else "", kept >= THROUGHPUT_MIN if last else None)  # fmt: skip


def sysbench(cluster, seconds):
    before = cpu_seconds(cluster.pids)
    command = ["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={cluster.port}", "--mysql-user=root",
               "--mysql-db=sbtest", f"--tables={SYSBENCH_TABLES}", f"--table-size={SYSBENCH_ROWS}", f"--threads={SYSBENCH_THREADS}", f"--time={seconds}",
               "--events=0", "--percentile=99", "--rand-type=uniform", "--report-interval=0", "--mysql-ignore-errors=1213,1205,1020", "run"]  # fmt: skip
    result = subprocess.run(command, text=True, capture_output=True)
    if result.returncode:
        raise Failed(f"sysbench: {(result.stdout + result.stderr)[-300:]}")
    used = cpu_seconds(cluster.pids) - before
    number = lambda pattern: float(re.search(pattern + r"\s+([\d.]+)", result.stdout)[1])
    events = number("total number of events:")
    return {"per_second": events / number("total time:"), "p99_ms": number("99th percentile:"), "cpu_us": used / max(events, 1) * 1e6, "ignored": number("ignored errors:")}


def pause(options, results):
    """Splits and leader moves in turn, each under the load of a client of its own that notes every transaction."""
    cluster = Cluster(options, "pause", 2)
    try:
        cluster.sql("CREATE DATABASE bench; CREATE TABLE bench.points (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)")
        for first in range(1, POINT_ROWS, 1_000):
            cluster.sql("INSERT INTO bench.points VALUES " + ",".join(f"({number}, 0)" for number in range(first, first + 1_000)))
        cluster.sql("ALTER REBALANCE PAUSE")
        events = {"split": split_statement}
        if options.nodes > 1:
            events["leader move"] = transfer_statement
        looks = {event: [] for event in events}
        for number in range(options.rounds):
            for event, statement in events.items():
                cluster.steady()
                look = feel(options, cluster, statement(cluster))
                looks[event].append(look)
                print(f"pause: round {number + 1}, {event}: {look}", flush=True)
    finally:
        cluster.stop()
    for event, seen in looks.items():
        figure = lambda name: statistics.median(look[name] for look in seen)
        longest = figure("above_s")
        shown = (f"{longest:.2f} s (longest of all rounds {max(look['above_s'] for look in seen):.2f} s); p99 {figure('before_ms'):.1f} ms before, at most "
                 f"{figure('worst_ms'):.0f} ms, {figure('after_ms'):.1f} ms after; the statement took {figure('statement_s'):.2f} s; "
                 f"{sum(look['errors'] for look in seen)} of {sum(look['transactions'] for look in seen)} transactions failed")  # fmt: skip
        results.add("pause", f"{event}: p99 above {PAUSE_FACTOR_MAX} times what it was, without a break", longest, shown, f"≤ {PAUSE_SECONDS_MAX} s", longest <= PAUSE_SECONDS_MAX)
        control = figure("control_s")
        results.add("pause", f"{event}: the same of {AFTER_SECONDS} s in which nothing happened", control, f"{control:.2f} s")


def split_statement(cluster):
    widest = max(cluster.data_shards(), key=lambda row: int(row["Slot_end"]) - int(row["Slot_start"]))
    return f"ALTER SHARD {widest['Shard']} SPLIT"


def transfer_statement(cluster):
    widest = max(cluster.data_shards(), key=lambda row: int(row["Slot_end"]) - int(row["Slot_start"]))
    heir = next(node for node in widest["Replicas"].split(",") if node != widest["Leader"])
    return f"ALTER SHARD {widest['Shard']} TRANSFER LEADER TO {heir}"


def feel(options, cluster, statement):
    """Latencies of point transactions before, while and after a statement is executed."""
    ports = ",".join(str(cluster.port + node) for node in range(options.nodes))
    path = cluster.folder / "latency.jsonl"
    calm = 2 * AFTER_SECONDS
    with path.open("w") as out, (cluster.folder / "latency.log").open("w") as log:
        load = subprocess.Popen(
            [options.latency, "--ports", ports, "--table", "bench.points", "--rows", str(POINT_ROWS), "--connections", str(POINT_CONNECTIONS),
             "--rate", str(options.rate), "--seconds", "120"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=log)  # fmt: skip
        try:
            time.sleep(WARM_SECONDS)
            begun = time.time()
            time.sleep(calm)
            changed = time.time()
            cluster.sql(statement)
            done = time.time()
            time.sleep(AFTER_SECONDS)
            load.terminate()
            code = load.wait(60)
        finally:
            load.kill()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    if code or not lines:
        raise Failed(f"the client ended with {code}: {(cluster.folder / 'latency.log').read_text()[-300:]}")
    return look_at(lines, begun, changed, done)


def look_at(lines, begun, changed, done):
    """p99 of each window, by when transactions were due, and how long it was too high without a break."""

    def windows(start, end):
        """Whole windows between two times."""
        count = int((end - start) / WINDOW_SECONDS)
        took = [[] for _ in range(count)]
        for line in lines:
            place = int((line["due_us"] / 1e6 - start) // WINDOW_SECONDS)
            if 0 <= place < count:
                took[place].append(line["took_us"] / 1e3)
        if not all(took):
            raise Failed("there is a window without any transaction: the client could not keep its pace, give it a lower --rate")
        # The nearest rank: of 100 transactions the second slowest.
        return [sorted(window)[(len(window) * 99 + 99) // 100 - 1] for window in took]

    half = (begun + changed) / 2
    # What p99 was: the first half of the calm. The second one shows what it does when nothing happens.
    before = statistics.median(windows(begun, half))
    control, event = windows(half, changed), windows(changed, done + AFTER_SECONDS)

    def above(p99s):
        longest = now = 0
        for p99 in p99s:
            now = now + 1 if p99 > PAUSE_FACTOR_MAX * before else 0
            longest = max(longest, now)
        return longest * WINDOW_SECONDS

    counted = [line for line in lines if begun <= line["due_us"] / 1e6]
    return {"before_ms": before, "worst_ms": max(event), "after_ms": statistics.median(event[-8:]), "above_s": above(event), "control_s": above(control),
            "statement_s": done - changed, "transactions": len(counted), "errors": sum(line["error"] != 0 for line in counted)}  # fmt: skip


def throttled(options):
    """Settings of a cluster whose nodes send shards no faster than asked for."""
    path = options.folder / "node.toml"
    path.write_text(f"[storage]\nrebuild_mib_per_s = {options.rebuild_mib_per_s}\n")
    return {"PRECINCT_CONFIG": str(path)}


def bare_writes(folder, size):
    """MiB per second of a loop that only writes files in order and syncs each."""
    piece = os.urandom(1 << 20)
    started = time.monotonic()
    for _ in range(max(1, size // BARE_FILE_BYTES)):
        path = folder / "bare"
        with path.open("wb") as out:
            for _ in range(BARE_FILE_BYTES // len(piece)):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        path.unlink()
    return max(1, size // BARE_FILE_BYTES) * BARE_FILE_BYTES / (time.monotonic() - started) / 2**20


def bulk(cluster, mib):
    cluster.sql("CREATE DATABASE bench; CREATE TABLE bench.bulk (id BIGINT NOT NULL PRIMARY KEY, body VARCHAR(4000) NOT NULL)")
    cluster.load((mib << 20) // ROW_BYTES, "bench.bulk")


def move(options, results):
    """A replica of the only data shard goes to a node that has joined, and back, and there again."""
    cluster = Cluster(options, "move", 1, throttled(options))
    moves = []
    try:
        cluster.sql("ALTER REBALANCE PAUSE")
        bulk(cluster, options.mib)
        print(f"move: {options.mib} MiB of rows are there", flush=True)
        joined = cluster.add_node()
        for number in range(options.rounds):
            cluster.steady()
            shard = cluster.data_shards()[0]
            bare = bare_writes(cluster.folder, options.mib << 20)
            holders = shard["Replicas"].split(",")
            # One that does not lead, where there is one: then nothing but bytes is moved.
            givers = [node for node in holders if node != shard["Leader"]] or holders
            if str(joined) in holders:
                source, target = str(joined), next(str(node) for node in range(1, cluster.nodes + 1) if str(node) not in holders)
            else:
                source, target = givers[-1], str(joined)
            moves.append({**move_once(cluster, shard["Shard"], source, target), "bare": bare})
            print(f"move: round {number + 1}, node {source} to {target}: {moves[-1]}", flush=True)
    finally:
        cluster.stop()
    median = lambda figure: statistics.median(one[figure] for one in moves)
    limit = options.rebuild_mib_per_s
    share = median("whole") / limit
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in moves[-1]["steps"].items())
    shown = (f"{median('whole'):.0f} MiB/s, {share:.0%} of the limit, from the statement until the shard is ok again ({median('mib'):.0f} MiB in {median('seconds'):.1f} s; "
             f"the last time: {steps}); {median('transfer'):.0f} MiB/s while bytes came; a bare loop of writes and syncs: {median('bare'):.0f} MiB/s")  # fmt: skip
    results.add("move", f"a replica moves at {limit} MiB/s at most", share, shown, f"≥ {MOVE_SHARE_MIN:.0%} of the limit", share >= MOVE_SHARE_MIN)


def move_once(cluster, shard, source, target):
    """Bandwidth of one move, MiB per second: of the whole of it, and while bytes came."""
    before = cluster.received(int(target))
    started = time.monotonic()
    cluster.sql(f"ALTER SHARD {shard} MOVE REPLICA FROM {source} TO {target}")
    # Each look: when, and what had come; and how long the shard said what of itself.
    looks, steps = [(time.monotonic(), before)], {}

    def is_done():
        row = next(row for row in cluster.data_shards() if row["Shard"] == shard)
        step, now = re.sub(r"replica \S+ on node \d+ lacks \d+", "the new replica lacks", row["State"].rpartition(": ")[2]), time.monotonic()
        steps[step] = steps.get(step, 0) + now - looks[-1][0]
        looks.append((now, cluster.received(int(target))))
        return row["State"] == "ok" and target in row["Replicas"].split(",")

    wait(is_done, f"shard {shard} has its replica on node {target}", pause=0.05)
    whole = time.monotonic() - started
    received = looks[-1][1] - before
    if not received:
        raise Failed("the replica came by the log and not by a Raft snapshot: give it more --mib")
    begun = max(when for when, bytes_ in looks if bytes_ == before)
    ended = min(when for when, bytes_ in looks if bytes_ == looks[-1][1])
    mib = received / 2**20
    return {"mib": mib, "whole": mib / whole, "transfer": mib / max(ended - begun, 0.001), "seconds": whole, "steps": steps}


def fill(options, results):
    """A node joins a cluster of eight shards and fills itself."""
    cluster = Cluster(options, "fill", 8, throttled(options))
    try:
        bulk(cluster, options.mib)
        cluster.steady()
        started = time.monotonic()
        joined = cluster.add_node()
        answers = time.monotonic() - started

        def share():
            return next((int(row["Replicas"]) for row in cluster.sql("SHOW NODES") if row["Node"] == str(joined)), 0)

        def is_even():
            state = cluster.sql("SHOW REBALANCE")[0]
            return share() > 0 and state["State"] == "even" and state["Moves_under_way"] == "0"

        wait(is_even, f"node {joined} has its share")
        seconds = time.monotonic() - started
        cluster.steady()
        replicas, mib = share(), cluster.received(joined) / 2**20
    finally:
        cluster.stop()
    shown = (f"{seconds:.1f} s from its start, of which {answers:.1f} s until it answered SQL; {replicas} replicas, {mib:.0f} MiB as Raft snapshots: "
             f"{mib / max(seconds - answers, 0.001):.0f} MiB/s at {options.rebuild_mib_per_s} MiB/s at most")  # fmt: skip
    results.add("fill", f"a node joins {options.nodes}, and has its share of 8 shards with {options.mib} MiB of rows", seconds, shown)


def machine(folder):
    """What else decides the figures: cores, load, and how fast the disk syncs."""
    took = []
    with (folder / "sync").open("wb") as out:
        for _ in range(200):
            out.write(b"x" * 4096)
            out.flush()
            began = time.monotonic()
            os.fdatasync(out.fileno())
            took.append(time.monotonic() - began)
    return {"cores": cores(), "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30), "kernel": os.uname().release,
            "load_before": os.getloadavg()[0], "fdatasync_p50_ms": statistics.median(took) * 1e3}  # fmt: skip


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 on")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precinct", required=True, help="the binary")
    parser.add_argument("--latency", required=True, help="the example `latency` of this crate, built")
    parser.add_argument("--criterion", required=True, type=pathlib.Path, help="the folder that criterion writes to")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--nodes", type=int, default=3, choices=[1, 3])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--seconds", type=positive, default=8, help="length of a slice of sysbench")
    parser.add_argument("--rate", type=positive, default=400, help="point transactions per second beside splits and leader moves")
    parser.add_argument("--mib", type=positive, default=1024, help="rows of the clusters whose replicas move; with less, the steps of a move count for more than its bytes")
    parser.add_argument("--rebuild-mib-per-s", type=positive, default=128, help="limit of nodes that send shards")
    options = parser.parse_args()
    options.folder = pathlib.Path(tempfile.mkdtemp(prefix="precinct-shards-"))
    results = Results()
    try:
        about = machine(options.folder)
        for part in options.parts:
            try:
                {"micro": micro, "throughput": throughput, "pause": pause, "move": move, "fill": fill}[part](options, results)
            except (Failed, OSError, subprocess.SubprocessError) as error:
                results.failed(part, "all of it", str(error))
            except SystemExit as ended:
                # A cluster that did not start ends with its log (quick.py).
                results.failed(part, "all of it", f"no cluster: {ended}")
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    report(options, about, results)


def report(options, about, results):
    when = datetime.datetime.now(datetime.timezone.utc)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], text=True, capture_output=True).stdout.strip()
    restless = about["load_before"] > 1 or about["fdatasync_p50_ms"] > 0.5
    lines = [
        f"# bench-shards, {when:%Y-%m-%d}",
        "",
        f"{about['cores']} cores, {about['memory_gib']} GiB, commit {commit or 'none'}; clients on the same cores. Clusters of {options.nodes} node{'s' if options.nodes > 1 else ''}; "
        f"medians of {options.rounds} rounds. Before the run: load {about['load_before']:.1f}, fdatasync {about['fdatasync_p50_ms']:.2f} ms (median)"
        + (" — **a busy machine or a slow disk: believe ratios only**." if restless else "."),
        "",
        "| part | what | figure | bar | holds |",
        "|---|---|---|---|---|",
    ]
    holds = {None: "–", True: "yes", False: "**no**"}
    lines += [f"| {row['part']} | {row['what']} | {row['shown']} | {row['bar'] or '–'} | {holds[row['holds']]} |" for row in results.rows]
    text = "\n".join(lines) + "\n"
    print("\n" + text)
    if set(options.parts) != set(PARTS):
        return
    head = {"date": when.isoformat(timespec="seconds"), "commit": commit, "machine": about, "nodes": options.nodes, "rounds": options.rounds,
            "slice_seconds": options.seconds, "rate": options.rate, "mib": options.mib, "rebuild_mib_per_s": options.rebuild_mib_per_s}  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "shards.json").write_text(json.dumps({**head, "rows": results.rows}, indent=1) + "\n")
    (options.out / "shards.md").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
