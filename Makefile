# Everything runs in .venv, which the first target that needs it makes. PYTHON=/path/to/python chooses another Python.
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
export PYTHON VERSIONS WHAT

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-outside test-versions fuzz sbc bench bench-check check lint format docs site pictures catalogue notebook images setup constraints wheel sdist clean

help: ## what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## the main job on the bundled data: fit, forecast, budget, report in reports/demo/
	@$(PY) -m compileall -q forecast
	@$(PY) -m forecast demo

test: $(READY) ## the fast tests, on two cores
	$(PY) -m pytest -n 2 --dist worksteal

test-slow: $(READY) ## the slow tests: fits, recovery of known truth
	$(PY) -m pytest -m slow

test-outside: $(READY) ## tests that need more than pip gives: poppler-utils, PostgreSQL, a browser, a notebook's kernel
	@sh tools/outside.sh $(PY)
	$(PY) -m pytest -m "outside and not slow"

test-versions: ## the fast tests on each Python of VERSIONS ("3.12 3.13 3.14") that is found; TESTS="tests/study" runs these
	@sh tools/test-versions.sh $(TESTS)

fuzz: $(READY) ## damaged files through every reader, ten minutes (FUZZ_SECONDS, FUZZ_SEED; more: tests/fuzz/fuzz.py)
	$(PY) tests/fuzz/fuzz.py

sbc: $(READY) ## calibration: 600 companies from the model's own prior, fitted (resumable; half an hour on 1 core)
	$(PY) benchmarks/sbc.py --out build/sbc --figures build/sbc

bench: $(READY) ## what commands cost beside bare numpy, DuckDB, pandas (and PyMC-Marketing: PEER_PYTHON), in ratios
	@$(PY) benchmarks/bench.py

bench-check: $(READY) ## the same beside benchmarks/table.csv: says what slowed, and fails where something has
	@$(PY) benchmarks/bench.py --check

check: lint test ## everything before a commit: format, lint, types, tests (documentation included)

lint: $(READY) ## format, lint and types, without changing anything
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

format: $(READY) ## format the code and mend what can be mended by itself
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(READY) ## write docs/cli.md from the commands' own help
	$(PY) tools/cli_reference.py docs/cli.md

site: $(READY) ## the documentation as a site in build/site, for a browser
	@sh tools/site.sh $(PY)

pictures: $(READY) ## the pictures of README and docs from reports/sample (needs poppler-utils and Chromium)
	$(PY) tools/pictures.py

catalogue: $(READY) ## texts of the code into the catalogues of other languages, compiled
	$(PY) tools/catalogue.py

# JupyterLab is large, so it is installed when it is first asked for. A script of notebooks/ opens as a notebook.
notebook: $(READY) ## JupyterLab with the notebooks of notebooks/, on this machine alone
	@sh tools/notebook.sh $(VENV)

images: $(READY) ## the pictures that figures are compared with, drawn anew: look at each before it is committed
	FORECAST_IMAGES=1 $(PY) -m pytest tests/report/test_plot_images.py -q

setup: $(READY) ## the environment in .venv

# The stamp is set last: an interrupted installation is taken up again.
$(READY): pyproject.toml constraints.txt tools/make-environment.sh tools/find-python.sh
	@sh tools/make-environment.sh $(VENV)
	@touch $@

constraints: ## take up new versions of all dependencies (needs uv)
	@uv=$$(command -v uv || echo $(VENV)/bin/uv); UV_PYTHON_DOWNLOADS=never $$uv pip compile pyproject.toml \
		--extra dev --extra notebook --extra jupyter --extra docs --extra browser --extra postgres --extra cluster --universal --upgrade --no-annotate --no-header --quiet --output-file constraints.txt

# The same sources give the same bytes: files are dated by this number alone (2020-02-02), wherever and whenever built.
wheel sdist: export SOURCE_DATE_EPOCH := 1580601600

wheel: $(READY) ## a wheel in dist/, the same bytes each time
	$(PY) -m hatchling build -t wheel

sdist: $(READY) ## a source distribution in dist/, the same bytes each time
	$(PY) -m hatchling build -t sdist

clean: ## remove the environment and all caches (not your models and reports)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
