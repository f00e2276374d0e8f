# The two commands of the README are `make serve` and `make test`; both set up all they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# A CPU build of torch is enough. Where pip would bring the CUDA build, name another index:
#   PIP_EXTRA_INDEX_URL=<the CPU index from pytorch.org> make test
TORCH ?= torch==2.13.0
TORCHVISION ?= torchvision==0.28.0
PIP_FLAGS := --quiet --disable-pip-version-check

.PHONY: serve test lint lock image settings clean

serve: .venv/installed
	.venv/bin/neumo serve

test: .venv-dev/installed
	.venv-dev/bin/pytest

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
	.venv-dev/bin/pip install $(PIP_FLAGS) --no-deps --editable .
	touch $@

image:
	docker build --tag neumo .

settings: .venv/installed
	.venv/bin/neumo settings > docs/settings.md

LOCK := uv pip compile --quiet --generate-hashes --no-emit-index-url --universal \
	--python-version 3.11 --custom-compile-command "make lock"

lock:
	$(LOCK) pyproject.toml --output-file requirements/serve.txt
	$(LOCK) pyproject.toml --extra train --extra dev --excludes requirements/not-locked.txt \
		--constraints requirements/serve.txt --output-file requirements/dev.txt

clean:
	rm -rf .venv .venv-dev dist
