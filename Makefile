# make demo        set everything up, compute the embedded demo and open the dashboard
# make app         open the dashboard
# make dist        build the wheel, which is the whole program, and print its size
# make test        format, types and tests; the second of two closing lines is the browser's
# make campaign    tests that repeat for minutes what was done once, such as a model's tuning
# make docs        build the site of documents into build/site, offline
# make bench       run every benchmark, two hours on a quiet machine; prints one table (docs/performance.md)
# make demo-tune   tune the demo's model anew, with adapter and controls, and score them (over an hour)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Where demo-tune puts its stories, models and scores (scripts/README.md says how much).
WORLD  ?= build/demo-world
BASE   := braindash/demo/models/tiny-hubert
TUNED    := tuned lora shuffled text
CONTROLS := shuffled text
OPTIONS_lora     := --method lora
OPTIONS_shuffled := --control shuffled --steps-of $(WORLD)/tuned
OPTIONS_text     := --control text --steps-of $(WORLD)/tuned

.PHONY: demo app dist test lint campaign docs bench demo-tune clean

$(VENV)/.installed: requirements.txt pyproject.toml
	@echo "1/2 making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "2/2 installing torch, streamlit and the rest: a few minutes the first time"
	@$(BIN)/pip install --requirement requirements.txt
	@touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[test,docs,sign-in,cluster]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/braindash demo

app: $(VENV)/.installed
	$(BIN)/braindash app

dist: $(VENV)/.test-installed
	$(BIN)/python -m build --no-isolation --outdir dist .
	@cd dist && for wheel in *.whl; do echo "$$wheel: $$(wc -c < $$wheel | awk '{printf "%.1f", $$1 / 1e6}') MB"; done

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy braindash

# Side by side, one process per core; then the journeys in a browser, which need the machine to
# themselves, also where something before has failed.
test: lint
	@$(BIN)/pytest -n logical --dist worksteal -m "not browser and not campaign"; status=$$?; \
	echo "The journeys in a browser:"; $(BIN)/pytest -m "browser and not campaign" && exit $$status

# What takes minutes and repeats what was done once; its last figures are in scripts/README.md.
campaign: $(VENV)/.test-installed
	@$(BIN)/pytest -m campaign

# The packages of the site are among those of the tests, which build it too.
docs: $(VENV)/.test-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.test-installed
	$(BIN)/python benchmarks/run_all.py

$(VENV)/.scripts-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[scripts]'
	touch $@

$(WORLD)/corpus.json: $(VENV)/.scripts-installed
	$(BIN)/python scripts/make_demo_corpus.py $(WORLD)

$(WORLD)/%/tuning.json: $(WORLD)/corpus.json
	$(BIN)/python scripts/tune_demo_model.py $(WORLD) $(OPTIONS_$*) --output $(WORLD)/$*

# A control has as many steps as the tuned model, which has to be there before.
$(CONTROLS:%=$(WORLD)/%/tuning.json): $(WORLD)/tuned/tuning.json

demo-tune: $(TUNED:%=$(WORLD)/%/tuning.json)
	$(BIN)/python scripts/score_demo.py $(WORLD) base=$(BASE) $(foreach name,$(TUNED),$(name)=$(WORLD)/$(name))

clean:
	rm -rf $(VENV) build/site .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
