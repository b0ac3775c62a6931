# make run: environment, dependencies, data set, server.   make test: those, a browser, the whole suite.
# What was broken off goes on at the next call.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: run check test soak lint bench screenshots clean

run: $(VENV)/.dataset
	$(BIN)/python server.py $(ARGS)

test: $(VENV)/.dev $(VENV)/.dataset $(VENV)/.browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# For the daily round: everything that needs neither the data set nor a browser, in about a minute.
check: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not soak and not data" $(ARGS)

# Crashes, bad input and an hour of polling at full length: about half an hour.
soak: $(VENV)/.dev $(VENV)/.dataset $(VENV)/.browser
	$(BIN)/python -m pytest -m soak -s $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Takes the machine for itself: about twenty-five minutes.
bench: $(VENV)/.dev $(VENV)/.dataset $(VENV)/.browser
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/polling.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/saving.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/claims.py
	$(BIN)/python benchmarks/lessons.py

# Every state of the page, light and dark, wide and narrow, and the README's picture: about three minutes.
screenshots: $(VENV)/.dev $(VENV)/.dataset $(VENV)/.browser
	$(BIN)/python docs/screenshots.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.installed: requirements.txt install.py
	@echo "Making the environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python install.py
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

$(VENV)/.dataset: $(VENV)/.installed
	$(BIN)/python data.py
	touch $@

# A system Chromium serves; where there is none, Debian's package, else the one that Playwright brings.
$(VENV)/.browser: $(VENV)/.dev
	command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium; } \
		|| $(BIN)/playwright install --with-deps chromium
	touch $@
