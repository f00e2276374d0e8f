# The two commands of the README are `make serve` and `make test`; both set up all they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# A CPU build of torch is enough. Where pip would bring the CUDA build, name another index:
#   PIP_EXTRA_INDEX_URL=<the CPU index from pytorch.org> make test
TORCH ?= torch==2.13.0
TORCHVISION ?= torchvision==0.28.0
PIP_FLAGS := --quiet --disable-pip-version-check
# Tests that run at once; each process takes a CPU and about 1 GB. A file's tests stay together:
# what they share is made once. Files begin in their order: the longest stand before many short.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
PARALLEL := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder -m "not alone"

.PHONY: serve test test-ray check quick test-lowest test-wheel fuzz lint lock image release reference settings docs clean

serve: .venv/installed
	.venv/bin/neumo serve

# What measures time or memory comes last, one by one, on a machine that is left to it.
test: .venv-dev/installed
	.venv-dev/bin/pytest $(PARALLEL)
	.venv-dev/bin/pytest -m alone

# What to run after each change: all but what trains networks and what starts real servers.
check: .venv-dev/installed
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint quick

quick: .venv-dev/installed
	.venv-dev/bin/pytest $(PARALLEL) --quiet tests/app tests/contract tests/benchmarks \
		tests/training/data tests/training/metrics tests/tools tests/test_*.py

# A cluster of Ray on this machine, in an environment of its own: Ray weighs 400 MB.
# Ray remembers a cluster's token as long as its process lives: one cluster for a process.
test-ray: .venv-ray/installed
	.venv-ray/bin/python -m pytest tests/ray --ignore tests/ray/test_ray_serve.py
	.venv-ray/bin/python -m pytest tests/ray/test_ray_serve.py

# That the lower bounds of pyproject.toml are true.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest $(PARALLEL) --quiet tests/app tests/contract

# That the wheel is whole, on the newest Python: no `app` lies where its tests run.
PYTHON_NEWEST ?= python3.13

test-wheel: .venv-wheel/installed .venv-dev/installed
	rm -rf .venv-wheel/place && mkdir -p .venv-wheel/place/docs
	cp -R pyproject.toml tests examples .venv-wheel/place
	cp -R docs/reference .venv-wheel/place/docs
	.venv-wheel/bin/pip wheel $(PIP_FLAGS) --no-deps --wheel-dir .venv-wheel/place .
	.venv-wheel/bin/pip install $(PIP_FLAGS) --no-deps --force-reinstall .venv-wheel/place/neumo-*.whl
	.venv-wheel/bin/pip check
	cd .venv-wheel/place && ../bin/python -m pytest $(PARALLEL) --quiet tests/app tests/contract
	.venv-dev/bin/python -m tools.release.environment .venv-wheel/place/neumo-*.whl $(PYTHON_NEWEST)

# Damaged and invented inputs for all that reads: make fuzz INPUTS=200000 ONLY=png,wire
INPUTS ?= 200000
fuzz: .venv-dev/installed
	.venv-dev/bin/python -m tests.fuzz --inputs $(INPUTS) $(if $(ONLY),--only $(ONLY))

lint: .venv-dev/installed
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports

# Serving: a lock with hashes, no torch; pip goes too, 17 MB that nothing there needs again.
.venv/installed: requirements/serve.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install $(PIP_FLAGS) --require-hashes --requirement requirements/serve.txt
	.venv/bin/pip install $(PIP_FLAGS) --no-deps --editable .
	.venv/bin/pip uninstall $(PIP_FLAGS) --yes setuptools pip
	touch $@

# Training and testing: the same lock and more, torch by a call of its own.
.venv-dev/installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv-dev
	.venv-dev/bin/pip install $(PIP_FLAGS) --require-hashes --requirement requirements/dev.txt
	.venv-dev/bin/pip install $(PIP_FLAGS) $(TORCH)
	.venv-dev/bin/pip install $(PIP_FLAGS) --no-deps $(TORCHVISION)
	.venv-dev/bin/pip install $(PIP_FLAGS) --no-deps --editable . --editable client
	.venv-dev/bin/python -m training.fit.torchvision_compat
	touch $@

.venv-lowest/installed: requirements/lowest.txt pyproject.toml
	$(PYTHON) -m venv --clear --upgrade-deps .venv-lowest  # pip 23 refuses a locked extra of old versions
	.venv-lowest/bin/pip install $(PIP_FLAGS) --require-hashes --requirement requirements/lowest.txt
	.venv-lowest/bin/pip install $(PIP_FLAGS) --no-deps --editable .
	touch $@

# The clients of the Open Inference Protocol, which tests run against the service.
.venv-clients/installed: requirements/v2-clients.txt
	$(PYTHON) -m venv --clear .venv-clients
	.venv-clients/bin/pip install $(PIP_FLAGS) --require-hashes --requirement requirements/v2-clients.txt
	touch $@

.venv-ray/installed: requirements/ray.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv-ray
	.venv-ray/bin/pip install $(PIP_FLAGS) --require-hashes --requirement requirements/ray.txt
	.venv-ray/bin/pip install $(PIP_FLAGS) --no-deps --editable .
	touch $@

.venv-wheel/installed: requirements/dev.txt pyproject.toml
	$(PYTHON_NEWEST) -m venv --clear .venv-wheel
	.venv-wheel/bin/pip install $(PIP_FLAGS) --require-hashes --requirement requirements/dev.txt
	touch $@

VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' app/__init__.py)

# A release pins the base: make image BASE=docker.io/library/python@sha256:...
image:
	docker build $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) \
		--tag neumo:$(VERSION) --tag neumo .

# Wheel, sdist, SBOM, licences and checksums, in dist/.
release: .venv-dev/installed
	.venv-dev/bin/python -m tools.release

# docs/reference from the code, Kubernetes' alerts from Prometheus'; tests say when they are old.
reference settings: .venv-dev/installed
	.venv-dev/bin/python -m tools.reference
	.venv-dev/bin/python -m tools.alert_rules

# The documentation as a site that asks nothing of any other host: site/index.html.
docs: .venv-dev/installed
	NO_MKDOCS_2_WARNING=1 .venv-dev/bin/mkdocs build --strict

LOCK := uv pip compile --quiet --generate-hashes --no-emit-index-url --universal \
	--python-version 3.11 --custom-compile-command "make lock"
EXTRAS := --extra dicom --extra hospital --extra oidc --extra otel --extra postgres --extra signatures --extra score

lock:
	$(LOCK) pyproject.toml --extra dicom --output-file requirements/serve.txt
	$(LOCK) pyproject.toml --extra dicom --extra hospital --extra oidc --extra otel --extra postgres --extra signatures \
		--constraints requirements/serve.txt --output-file requirements/image.txt
	$(LOCK) pyproject.toml $(EXTRAS) --extra train --extra sweep --extra docs --extra dev --excludes requirements/not-locked.txt \
		--constraints requirements/serve.txt --output-file requirements/dev.txt
	$(LOCK) pyproject.toml $(EXTRAS) --extra dev --resolution lowest-direct \
		--output-file requirements/lowest.txt
	$(LOCK) requirements/v2-clients.in --output-file requirements/v2-clients.txt
	$(LOCK) pyproject.toml --extra dicom --extra score --extra ray requirements/ray.in \
		--constraints requirements/dev.txt --output-file requirements/ray.txt

clean:
	rm -rf .venv .venv-dev .venv-lowest .venv-wheel .venv-clients .venv-ray dist site
