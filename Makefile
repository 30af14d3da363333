# make demo   set everything up, compute the embedded demo and open the dashboard
# make app    open the dashboard
# make test   format, types and tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TYPED  := $(addprefix braindash/,cli core io pipeline plan requests results speech steps specs.py api.py probe_tasks.py launch.py preflight.py jobs.py jobtable.py worker.py errors.py progress.py digest.py environment.py)

.PHONY: demo app test lint clean

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/braindash demo

app: $(VENV)/.installed
	$(BIN)/braindash app

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)

test: lint
	$(BIN)/pytest

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
