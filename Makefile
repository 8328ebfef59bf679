# Everything a fresh machine needs: `make run` and `make test` install into .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The default experiment: glyphs, thirteen optimizations on the full CPU, two on each way of sharing it.
RUN := 'partitions=[full,time_shared,cpuset]' 'only.time_shared=[fp32,int8_ort]' 'only.cpuset=[fp32,int8_ort]'

.PHONY: run test test-fast browser test-containers podman test-statistics benchmark lint format clean

run: $(INSTALLED)
	$(BIN)/bench run $(RUN)
	$(BIN)/bench report

test: lint browser
	$(BIN)/pytest -q --ignore=tests/benchmarks --ignore=tests/containers

test-fast: $(INSTALLED) browser
	$(BIN)/pytest -q -m "not slow and not statistics" --ignore=tests/benchmarks --ignore=tests/containers

# How often a verdict is wrong, over 20,000 draws of simulated truth; `make test` makes 2,000. -rP prints the rates. And
# what else takes many seeds: shifts in histories, glyphs trained anew.
test-statistics: $(INSTALLED)
	$(BIN)/pytest -q -rP -m statistics tests/judge tests/workloads

# Reports are tested in a real browser: Debian's, or one that BENCH_CHROMIUM names.
browser:
	@test -x "$${BENCH_CHROMIUM:-/usr/bin/chromium}" \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	       && apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	  || { echo "the tests need Chromium: apt-get install chromium, or name one in BENCH_CHROMIUM" >&2; exit 1; }

# Real containers; podman is installed where it is missing. A dockerd is tried as well where one is installed.
test-containers: $(INSTALLED) podman
	BENCH_TEST_CONTAINERS=1 $(BIN)/pytest -q tests/containers

podman:
	@{ command -v podman && command -v runc; } >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	       && apt-get -qq update && apt-get -qq install -y --no-install-recommends podman runc crun buildah fuse-overlayfs \
	            netavark aardvark-dns slirp4netns uidmap catatonit golang-github-containers-common >/dev/null; } \
	  || { echo "the tests need podman and runc: apt-get install podman runc" >&2; exit 1; }

# Performance goals, measured as ratios within one run; kept out of `make test`, because machines are noisy.
benchmark: $(INSTALLED)
	$(BIN)/pytest -q tests/benchmarks --benchmark-only

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,dev]'
	touch $@

clean:
	rm -rf $(VENV)
