# `make demo` and `make test` do all set-up themselves. The target directory lies outside the clone, so that a
# second clone (CI, a review) builds warm.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
export PATH := $(HOME)/.cargo/bin:$(PATH)
export CARGO_TARGET_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/precinct/target
export PRECINCT_CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/precinct
PRECINCT := $(CARGO_TARGET_DIR)/release/precinct
export PRECINCT_BIN := $(PRECINCT)

.PHONY: help demo build test lint rust-tests clients tutorial bench-quick bench-micro bench-replication bench-shards bench-sql soak chaos scale sim bugs failover placement calibrate fuzz diff sakila tpch tpcds fmt

help:
	@echo "make demo         build, start a three-node cluster on this machine, load real data"
	@echo "make test         everything CI runs"
	@echo "make bench-quick  sysbench beside MariaDB in one run, results in bench/results/"
	@echo "make bench-micro  criterion benchmarks: codec, point get, log append"
	@echo "make bench-replication  the log beside a bare fdatasync loop, replicated writes, timestamps, idle replicas"
	@echo "make bench-shards what many shards, splits, leader moves and replica moves cost, each figure beside its bar: BENCH_FLAGS='--nodes 1 --mib 256'"
	@echo "make bench-sql    parsing, TPC-H and big scans beside MariaDB, each figure beside its bar: SCALE=1 BENCH_FLAGS='--parts parse scan'"
	@echo "make soak         the chaos test and the simulation for longer"
	@echo "make chaos        random faults on real processes, histories judged: MINUTES=5 NODES=3 WORKLOAD=append,bank SEED=…"
	@echo "make scale        three nodes become six and three again under sysbench and kills: MINUTES=30 SEED=…"
	@echo "make placement    plans for replicas on a thousand simulated nodes: NODES=1000 SHARDS=64000 SCENARIO=all SEED=1"
	@echo "make calibrate    the same plans on six real processes, compared with the simulation"
	@echo "make failover     the time without a leader: KILLS=100 kills, SHARDS=100 shards"
	@echo "make sim          the simulation: SEEDS=200 seeds from FIRST=1 on"
	@echo "make fuzz         libFuzzer on lexer, parser, printer, digest, packets: MINUTES=20 each, TARGETS='parser printer'"
	@echo "make sakila       the Sakila dump beside MariaDB: tables, views, programs, triggers, foreign keys; SAKILA=folder of the dump"
	@echo "make diff         the golden scripts' statements beside MariaDB; RANDOM=100000 as many random ones, SEED=1"
	@echo "make tpch         TPC-H's 22 queries beside DuckDB, on one and on eight shards: SCALE=0.01 SHARDS='1 8' QUERIES='1 19'; make tpcds likewise"
	@echo "make bugs         the bug bank: the simulation must find every defect put back"

build:
	@scripts/setup.sh build
	cargo build --release --workspace --bins

demo: build
	$(PRECINCT) demo $(DEMO_FLAGS)

# Always the whole workspace: a part of it would switch on fewer features of shared dependencies and compile them again.
test:
	@scripts/setup.sh test
	$(MAKE) lint build rust-tests clients tutorial
	@awk '/^test result: ok/ { passed += $$4 } END { print "tests: " passed " passed, 0 failed" }' $(CARGO_TARGET_DIR)/test.log

lint:
	cargo fmt --all -- --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	scripts/tidy.sh

rust-tests: build
	cargo test --release --workspace --lib --bins --tests --no-fail-fast 2>&1 | tee $(CARGO_TARGET_DIR)/test.log

clients: build
	tests/clients/run.sh

tutorial: build
	scripts/tutorial.sh docs/tutorials/first-cluster.md
	scripts/tutorial.sh docs/tutorials/two-sessions.md

soak: build
	PRECINCT_SOAK=1 cargo test --release --workspace --test kill_nodes --test simulation --test interleavings -- --nocapture

chaos: build
	$(PRECINCT) drill soak --minutes $(or $(MINUTES),5) --nodes $(or $(NODES),3) $(if $(SEED),--seed $(SEED)) \
	  $(if $(WORKLOAD),--workloads $(WORKLOAD)) $(CHAOS_FLAGS)

scale: build
	cargo build --release --workspace --example scale
	$(CARGO_TARGET_DIR)/release/examples/scale $(or $(MINUTES),30) $(or $(SEED),1)

sim:
	PRECINCT_SEEDS=$(or $(SEEDS),200) PRECINCT_FIRST_SEED=$(or $(FIRST),1) cargo test --release --workspace --test simulation -- --nocapture

bugs:
	PRECINCT_BUG=all cargo test --release --workspace --test bug_bank --test transactions --test interleavings -- --nocapture

failover: build
	PRECINCT_KILLS=$(or $(KILLS),100) PRECINCT_SHARDS=$(or $(SHARDS),100) cargo test --release --workspace --test failover -- --nocapture

bench-sql:
	@scripts/setup.sh build
	@scripts/setup.sh bench
	cargo build --release --workspace --bins
	cargo bench --profile release --workspace --bench sql 2>&1 | tee $(CARGO_TARGET_DIR)/bench-sql.log
	@[ -d $(PRECINCT_CACHE)/tpc ] || python3 -m venv $(PRECINCT_CACHE)/tpc
	@$(PRECINCT_CACHE)/tpc/bin/pip install -q --disable-pip-version-check -r tests/tpc/requirements.txt
	$(PRECINCT_CACHE)/tpc/bin/python bench/sql.py --precinct $(PRECINCT) --scale $(or $(SCALE),1) --criterion $(CARGO_TARGET_DIR)/criterion \
	  --log $(CARGO_TARGET_DIR)/bench-sql.log $(BENCH_FLAGS)

fuzz:
	@scripts/setup.sh fuzz
	scripts/fuzz.sh $(or $(MINUTES),20) $(TARGETS)

diff: build
	@scripts/setup.sh test
	@scripts/setup.sh bench
	@[ -d $(PRECINCT_CACHE)/diff ] || python3 -m venv $(PRECINCT_CACHE)/diff
	@$(PRECINCT_CACHE)/diff/bin/pip install -q --disable-pip-version-check -r tests/diff/requirements.txt
	$(PRECINCT_CACHE)/diff/bin/python $(if $(RANDOM),tests/diff/random_statements.py $(RANDOM) --seed $(or $(SEED),1),tests/diff/scripts.py $(SCRIPTS))

sakila: build
	@scripts/setup.sh test
	@scripts/setup.sh bench
	@[ -d $(PRECINCT_CACHE)/diff ] || python3 -m venv $(PRECINCT_CACHE)/diff
	@$(PRECINCT_CACHE)/diff/bin/pip install -q --disable-pip-version-check -r tests/diff/requirements.txt
	$(PRECINCT_CACHE)/diff/bin/python tests/sakila/run.py --precinct $(PRECINCT) --sakila $(or $(SAKILA),../shared/data/sakila)

tpch tpcds: build
	@scripts/setup.sh test
	@[ -d $(PRECINCT_CACHE)/tpc ] || python3 -m venv $(PRECINCT_CACHE)/tpc
	@$(PRECINCT_CACHE)/tpc/bin/pip install -q --disable-pip-version-check -r tests/tpc/requirements.txt
	$(PRECINCT_CACHE)/tpc/bin/python tests/tpc/run.py $@ --scale $(or $(SCALE),0.01) --shards $(or $(SHARDS),1 8) $(if $(QUERIES),--query $(QUERIES))

placement: build
	$(PRECINCT) drill placement --scenario $(or $(SCENARIO),all) --nodes $(or $(NODES),1000) --shards $(or $(SHARDS),64000) \
	  --replication $(or $(REPLICATION),3) --seed $(or $(SEED),1)

calibrate: build
	PRECINCT_CALIBRATE=1 PRECINCT_SHARDS=$(or $(SHARDS),40) cargo test --release --workspace --test placement_calibration -- --nocapture

bench-quick:
	@scripts/setup.sh build
	@scripts/setup.sh bench
	cargo build --release --workspace --bins
	python3 bench/quick.py --precinct $(PRECINCT) --out bench/results $(BENCH_FLAGS)

bench-micro:
	@scripts/setup.sh build
	cargo bench --profile release --workspace --benches

bench-replication:
	@scripts/setup.sh build
	cargo bench --profile release --workspace --bench replication

bench-shards:
	@scripts/setup.sh build
	@scripts/setup.sh bench
	cargo build --release --workspace --bins
	cargo build --release --workspace --example latency
	cargo bench --profile release --workspace --bench shards
	python3 bench/shards.py --precinct $(PRECINCT) --latency $(CARGO_TARGET_DIR)/release/examples/latency \
	  --criterion $(CARGO_TARGET_DIR)/criterion --out bench/results $(BENCH_FLAGS)

fmt:
	cargo fmt --all
