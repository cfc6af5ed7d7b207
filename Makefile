# Every target does its own set-up; the environment is made once and reused.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS ?= runs
PORT ?= 8501
DATA ?= nyc
SEEDS ?= 0,1,2
WORKERS ?= 2
TORCH ?= 2.4.1
PYARROW ?= 17 18 19 20 21 22 23 24 25 26
OLD_PANDAS ?= 3.0
# pip compiles no package beforehand, which takes most of an installation's time; Python does when one is imported. 0 is how pip's "no" is said.
export PIP_NO_COMPILE := 0

.PHONY: help run train app sample pictures test check format lint types canvas canvas-checks bundles test-integrations test-libraries test-libraries-more test-jax test-store test-notebook notebook test-fleet test-torch test-pyarrow test-lowest test-python test-wheel mutation docs bench bench-log bench-watch bench-core bench-ui bench-loggers bench-scale bench-regimes bench-aggregate bench-fleet bench-families bench-set-points bench-sequence bench-ranks bench-sweeps bench-store bench-differences bench-gpu bench-alerts soak clean

run: $(VENV)/.run  ## train on the embedded data (DATA=text: the embedded text), then open the dashboard on the new run
	$(BIN)/vdn train --data $(DATA) --runs $(RUNS)
	$(MAKE) --no-print-directory app

train: $(VENV)/.run  ## train only
	$(BIN)/vdn train --data $(DATA) --runs $(RUNS)

app: $(VENV)/.run  ## the dashboard on the runs that are there
	mkdir -p $(RUNS)
	$(BIN)/probes ui $(RUNS) sample_runs --port $(PORT)

help:  ## these lines
	@sed -n 's/^\([a-z][a-z-]*\):.*  ## \(.*\)/\1: \2/p' Makefile

pictures: $(VENV)/.dev $(VENV)/.browser  ## the pictures of the docs, from the sample runs
	$(BIN)/python docs/pictures.py

sample: .venv-integrations/.made  ## make the committed sample runs anew, the examples' with the libraries that they watch
	.venv-integrations/bin/python sample_runs/make.py

test: $(VENV)/.dev $(VENV)/.browser  ## every test, the browser's too, by WORKERS at once (2); with COVERAGE=1 the share of branches that they run
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(if $(COVERAGE),--cov=probes --cov=vdn --cov=pages --cov-report=term:skip-covered)

# What is tested where torch is not installed: the log, the command line and the dashboard.
WITHOUT_TORCH := $(addprefix tests/probes/,log fleet analysis figures export canvas alerts test_cli.py test_extras.py \
	recorder run regimes test_ui.py) tests/sample_runs tests/pages

test-lowest: .venv-lowest/.made  ## the log and the dashboard with the lowest versions that pyproject.toml allows, without torch
	.venv-lowest/bin/pytest $(WITHOUT_TORCH)

.venv-lowest/.made: requirements-lowest.txt requirements-test.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check -r requirements-lowest.txt
	touch $@

# The newest Python that is not $(PYTHON)'s, of those that the tests are known to pass with; pyenv's need not be on PATH.
OTHER_PYTHON ?= $(shell for python in python3.13 python3.12 $(HOME)/.pyenv/versions/3.13*/bin/python $(HOME)/.pyenv/versions/3.12*/bin/python; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 12), (3, 13)))' 2>/dev/null && echo $$python && break; done)

test-python:  ## the same with the tested versions under another Python, 3.13 or 3.12, where there is one
	@if [ -n "$(OTHER_PYTHON)" ]; then $(MAKE) --no-print-directory .venv-python/.made OTHER_PYTHON=$(OTHER_PYTHON) && \
	.venv-python/bin/python --version && .venv-python/bin/pytest $(WITHOUT_TORCH); \
	else echo "test-python: skipped, there is no Python 3.12 or 3.13 here (OTHER_PYTHON names one)"; fi

.venv-python/.made: requirements-ui.txt requirements-test.txt
	$(OTHER_PYTHON) -m venv .venv-python
	.venv-python/bin/pip install --quiet --disable-pip-version-check -r requirements-ui.txt -r requirements-test.txt
	touch $@

docs: .venv-docs/.made  ## the documentation's site in build/site, in an environment of its own; a warning is an error
	.venv-docs/bin/sphinx-build --quiet --fail-on-warning --fresh-env --doctree-dir build/doctrees docs build/site
	.venv-docs/bin/python docs/_site/outside.py build/site

.venv-docs/.made: requirements-docs.txt requirements-ui.txt | $(VENV)/.browser
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@

mutation: .venv-mutation/.made  ## small faults, one at a time, in a seeded sample of places: do the tests notice; writes docs/mutation.md
	.venv-mutation/bin/python tests/mutation/run.py --write $(if $(ONLY),--only $(ONLY)) --seed $(or $(SEED),0)

.venv-mutation/.made: requirements-mutation.txt requirements.txt requirements-ui.txt requirements-test.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-mutation
	.venv-mutation/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-mutation/bin/pip install --quiet --disable-pip-version-check -r requirements-mutation.txt
	touch $@

test-wheel: $(VENV)/.dev $(VENV)/.browser  ## the wheel in an environment of its own: watch, the dashboard, a training
	$(BIN)/pytest tests/wheel

test-integrations: .venv-integrations/.made  ## watching Pyro, Lightning, Hugging Face and VAE libraries, in an environment of their own
	.venv-integrations/bin/pytest -o testpaths=tests/integrations -o filterwarnings= tests/integrations

test-libraries: .venv-libraries/.made  ## the log's KL beside that of libraries which pin other packages: scvi-tools, diffusers, Stable-Baselines3 and others
	.venv-libraries/bin/pytest -o testpaths=tests/libraries -o filterwarnings= tests/libraries

.venv-libraries/.made: requirements-libraries.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-libraries
	.venv-libraries/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-libraries/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 -r requirements-libraries.txt
	.venv-libraries/bin/pip uninstall --quiet --yes torchvision  # Blitz asks for it and does not need it; it is built for another torch
	touch $@

test-libraries-more: .venv-libraries-more/.made  ## models of libraries that cannot stand beside those, or are heavy: RecBole, PyPOTS, d3rlpy, VITS and others
	.venv-libraries-more/bin/pytest -o testpaths=tests/libraries -o filterwarnings= tests/libraries/test_unseen*.py

.venv-libraries-more/.made: requirements-libraries-more.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-libraries-more
	.venv-libraries-more/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-libraries-more/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements-libraries-more.txt
	touch $@

test-jax: .venv-jax/.made  ## recording from NumPyro and flax, without torch, in an environment of their own
	.venv-jax/bin/pytest -o testpaths=tests/jax -o filterwarnings= tests/jax

test-store: .venv-store/.made  ## runs in an object store, on a real S3-compatible server, in an environment of their own
	.venv-store/bin/pytest -o testpaths=tests/stores tests/stores

.venv-store/.made: requirements-store.txt requirements.txt requirements-ui.txt requirements-test.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-store
	.venv-store/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-store/bin/pip install --quiet --disable-pip-version-check -r requirements-store.txt
	touch $@

test-notebook: .venv-notebook/.made $(VENV)/.browser  ## the replay as a widget, in a real JupyterLab and a browser, in an environment of their own
	.venv-notebook/bin/pytest -o testpaths=tests/notebook -o filterwarnings= tests/notebook

notebook: .venv-notebook/.made  ## execute the notebook of the docs anew
	PYTHONPATH=$(CURDIR) .venv-notebook/bin/python docs/execute_notebook.py

.venv-notebook/.made: requirements-notebook.txt requirements-ui.txt requirements-test.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-notebook
	.venv-notebook/bin/pip install --quiet --disable-pip-version-check -r requirements-notebook.txt
	touch $@

test-fleet: .venv-fleet/.made  ## fleets by Daft on a Ray cluster of two workers, sweeps by Ray and submitit, in an environment of their own
	.venv-fleet/bin/pytest -o testpaths=tests/engines -o filterwarnings= tests/engines

.venv-fleet/.made: requirements-fleet.txt requirements-test.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-fleet
	.venv-fleet/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-fleet/bin/pip install --quiet --disable-pip-version-check -r requirements-fleet.txt
	touch $@

test-torch: requirements-dev.txt  ## watching on an older torch, such as TORCH=2.4.1 (before 2.13 pip brings gigabytes of CUDA)
	$(PYTHON) -m venv build/torch-$(TORCH)
	build/torch-$(TORCH)/bin/pip install --quiet torch==$(TORCH) "numpy<2.3" pandas pyarrow plotly scipy scikit-learn jinja2 rich filelock pytest pytest-timeout hypothesis
	build/torch-$(TORCH)/bin/python -m pytest -q -p no:cacheprovider tests/probes/watching tests/probes/test_moments.py

test-pyarrow: $(VENV)/.dev  ## nothing is lost at exit with any pyarrow of PYARROW, nor with a pandas that loads its threads late
	$(BIN)/pip install --quiet --no-deps --upgrade --target build/pandas "pandas==$(OLD_PANDAS).*"
	for version in $(PYARROW); do \
	    $(BIN)/pip install --quiet --no-deps --upgrade --target build/pyarrow-$$version "pyarrow==$$version.*" && \
	    for pandas in "" :$(CURDIR)/build/pandas; do \
	        PYTHONPATH=$(CURDIR)/build/pyarrow-$$version$$pandas $(BIN)/python -c "import pandas, pyarrow; print('pyarrow', pyarrow.__version__, 'pandas', pandas.__version__)" && \
	        PYTHONPATH=$(CURDIR)/build/pyarrow-$$version$$pandas $(BIN)/pytest tests/probes/test_exit.py || exit 1; \
	    done; \
	done

.venv-integrations/.made: requirements-integrations.txt requirements.txt requirements-ui.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-integrations
	.venv-integrations/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-integrations/bin/pip install --quiet --disable-pip-version-check -r requirements-integrations.txt
	touch $@

.venv-jax/.made: requirements-jax.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-jax
	.venv-jax/bin/pip install --quiet --disable-pip-version-check -r requirements-jax.txt
	touch $@

soak: $(VENV)/.dev $(VENV)/.browser .venv-store/.made  ## what takes longer than a test should: 200 kills, two hours live at speed, 20,000 hostile runs
	STORE_KILLS=50 STORE_READINGS=500 .venv-store/bin/pytest --timeout 0 -o testpaths=tests/stores tests/stores/test_mirroring.py -k kills
	CRASH_MOMENTS=200 $(BIN)/pytest --timeout 0 tests/probes/test_crash.py
	$(BIN)/python tests/hostile/soak.py
	$(BIN)/python tests/e2e/grid.py
	HOSTILE_INPUTS=20000 $(BIN)/pytest --timeout 0 tests/hostile/test_fuzz.py

check: format lint types canvas test  ## what a developer runs before a commit; .ci/run is all of continuous integration

format: $(VENV)/.dev  ## is every Python file formatted
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev  ## ruff
	$(BIN)/ruff check .

types: $(VENV)/.dev  ## mypy
	$(BIN)/mypy

canvas:  ## the canvas code of probes/canvas: format, types, tests, and whether its bundles are fresh
	@if command -v node >/dev/null && command -v npm >/dev/null; then $(MAKE) --no-print-directory canvas-checks; \
	elif [ -n "$$CI" ]; then echo "canvas: no node and npm on PATH, and CI is set: install Node.js 20 or newer" >&2; exit 1; \
	else echo "canvas: skipped, the checks of probes/canvas need node and npm on PATH (Node.js 20 or newer)"; fi

canvas-checks: node_modules/.made
	npm run --silent format
	npm run --silent types
	npm run --silent test
	npm run --silent fresh

bundles: node_modules/.made $(VENV)/.run  ## write the palette and the bundles of the canvas code anew
	$(BIN)/python -m probes.canvas.palette_js
	npm run --silent build

node_modules/.made: package.json package-lock.json
	npm ci --silent
	touch $@

bench: bench-log bench-watch bench-core bench-ui bench-loggers bench-scale bench-regimes bench-aggregate bench-fleet bench-families bench-sequence bench-ranks bench-sweeps bench-store bench-differences  ## what is written into docs/benchmarks.md and docs/diagnostics.md, but for bench-gpu

bench-log: $(VENV)/.dev  ## the run log: overhead, bytes, reading times
	$(BIN)/python -m benchmarks.log

bench-watch: $(VENV)/.dev  ## what probes.watch costs somebody else's training loop
	$(BIN)/python -m benchmarks.watch --write

bench-core: $(VENV)/.dev  ## the training core: scores against the twin, cost of a step; ETTH names a folder with ETTh1.csv and ETTh2.csv
	$(BIN)/python -m benchmarks.core $(if $(ETTH),--etth $(ETTH))

bench-ui: $(VENV)/.dev $(VENV)/.browser  ## the dashboard: pictures, server time, memory; ONLY names a part (changes, live ...), which is printed alone
	$(BIN)/python -m benchmarks.ui $(if $(ONLY),--only $(ONLY),--write)

bench-loggers: .venv-bench/.made  ## the run log beside TensorBoard, W&B offline, Aim and Trackio, in an environment of their own
	.venv-bench/bin/python -m benchmarks.loggers --write

bench-scale: $(VENV)/.dev  ## the run log from 10^3 to 10^5 steps, 10^2 to 10^5 neurons, 1 to 1,000 runs
	$(BIN)/python -m benchmarks.scale --write

bench-regimes: $(VENV)/.dev  ## which regimes planted neurons are given, by information and batch size, in docs/diagnostics.md
	$(BIN)/python -m benchmarks.regimes --write

bench-set-points: $(VENV)/.dev  ## what set-points of information and persistence hold, and what they cost in NLL; printed
	$(BIN)/python -m benchmarks.set_points

bench-aggregate: $(VENV)/.dev  ## estimators of a layer's total correlation against closed forms, and what the split of a rate costs, in docs/diagnostics.md
	$(BIN)/python -m benchmarks.aggregate --write

bench-sequence: $(VENV)/.dev  ## sequences: neurons, twin, Kalman filter, GRU; CHORDS names a JSON of chorales, SEEDS seeds, PARTS parts
	$(BIN)/python -m benchmarks.sequence --write --seeds $(SEEDS) $(if $(CHORDS),--chords $(CHORDS)) $(if $(PARTS),--parts $(PARTS))

bench-alerts: $(VENV)/.dev  ## how often alerts fire on planted healthy and faulty runs; printed, for docs/diagnostics.md
	$(BIN)/python -m benchmarks.alerts

bench-differences: $(VENV)/.dev  ## how often intervals of differences between runs hold, in docs/diagnostics.md
	$(BIN)/python -m benchmarks.differences --write

bench-fleet: $(VENV)/.dev  ## questions to 300 runs at once: from their summaries, from every row
	$(BIN)/python -m benchmarks.fleet --write

bench-families: $(VENV)/.dev  ## what the statistics of each family of posteriors cost a step
	$(BIN)/python -m benchmarks.families --write

bench-ranks: $(VENV)/.dev  ## what one run of several processes adds to a step
	$(BIN)/python -m benchmarks.ranks --write

bench-sweeps: .venv-fleet/.made  ## what an engine of sweeps adds to its trainings
	.venv-fleet/bin/python -m benchmarks.sweep --write

bench-store: .venv-store/.made  ## a run in an object store: requests and seconds at 30 ms a request, the mirror beside a training
	.venv-store/bin/python -m benchmarks.store --write

bench-gpu: $(VENV)/.dev  ## on CUDA: what watching and training's own log add to a step, waits for the device, several GPUs over NCCL
	$(BIN)/python -m benchmarks.gpu --write

.venv-bench/.made: requirements-bench.txt requirements.txt requirements-ui.txt | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	touch $@

clean:  ## remove all that was installed; runs stay
	rm -rf $(VENV) .venv-integrations .venv-libraries .venv-libraries-more .venv-jax .venv-store .venv-notebook .venv-fleet .venv-bench .venv-lowest .venv-python .venv-docs .venv-mutation node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt requirements-ui.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing about 1 GB of packages into $(VENV), once; it takes a minute or two"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .  # the commands probes and vdn
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements-test.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# A Chromium for the browser tests: on PATH, else Debian's package, else Playwright's own build.
$(VENV)/.browser: $(VENV)/.dev
	$(BIN)/python tests/e2e/find_browser.py --install
	touch $@
