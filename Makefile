# Every target creates the environment that it needs; `make clean` removes it again.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test system lint soak fuzz bench clean

demo: $(VENV)/.installed
	$(BIN)/feedlog demo

test: system $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto

# tests/natbed builds real routers out of network namespaces and nftables.
system:
	@if ! command -v ip >/dev/null || ! command -v nft >/dev/null; then \
	  if [ "$$(id -u)" != 0 ]; then \
	    echo "tests/natbed needs ip (iproute2) and nft (nftables): install them, and run as root" >&2; exit 1; \
	  fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq iproute2 nftables; \
	fi

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

soak: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m soak

# Each of the two as long as FUZZ_SECONDS says.
FUZZ_SECONDS ?= 300
fuzz: $(VENV)/.installed-fuzz
	$(BIN)/python -m tests.fuzz replication -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz decoders -max_total_time=$(FUZZ_SECONDS)

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --editable ".[fuzz]"
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
