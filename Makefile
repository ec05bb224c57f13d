# Two commands do everything on a fresh machine with Python 3.11 and make: `make film`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
FILM := examples/the-long-way-home.fountain

.PHONY: setup film test test-slow check format bench clean

setup: .venv/ready

# A constraints file pins what set-up installs; pyproject.toml leaves the ranges open.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,train]' -c constraints.txt
	touch $@

film: .venv/ready
	$(BIN)/farm render $(FILM) continuity.control=true output.titles=true

test: .venv/ready
	$(BIN)/pytest

test-slow: .venv/ready
	$(BIN)/pytest -m slow

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready
	$(BIN)/python scripts/bench_plan.py
	$(BIN)/python scripts/bench_joins.py

clean:
	rm -rf .venv build dist *.egg-info
