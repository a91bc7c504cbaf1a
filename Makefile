# Two commands matter: `make demo` and `make test`. PYTHON, VENV and TEST_VENV can be given on the command line.
PYTHON ?= python3
VENV ?= .venv
TEST_VENV ?= .venv-dev
CLOUD_VENV ?= .venv-cloud
OUT ?= demo_out
PIP = -m pip install --disable-pip-version-check --quiet -c constraints.txt
SOURCES = setup.py settings.ini constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test dev docs export bench cloud register constraints audit clean

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

define check_python
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "fea needs Python 3.11 or newer, but '$(PYTHON)' is \
$$($(PYTHON) --version 2>&1 | head -1). Give another one: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12" >&2; exit 1; }
endef

define check_opencv
@$(1)/bin/python -c 'import cv2' 2>/dev/null || { echo "OpenCV cannot be loaded. On a bare Linux its system libraries are missing: \
apt-get install libgl1 libglib2.0-0" >&2; $(1)/bin/python -c 'import cv2'; exit 1; }
endef

demo: $(VENV)/.installed ## Install fea with what it needs at run time, and analyse the sample clip
	$(VENV)/bin/fea analyze samples/sample.mp4 --out $(OUT) --plot --overwrite

$(VENV)/.installed: $(SOURCES)
	$(check_python)
	@echo "Installing fea into $(VENV) (about 680 MB, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP) -e .
	$(call check_opencv,$(VENV))
	@echo "$(VENV) takes $$(du -sm $(VENV) | cut -f1) MB"
	@touch $@

define get_chromium
@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { apt-get update -q && apt-get install -y -q chromium; } >/dev/null 2>&1; } \
|| echo "There is no chromium: the tests of pages will be skipped. On Debian: apt-get install chromium"
endef

test: $(TEST_VENV)/.installed ## Every check: each notebook run as a test, tests/, export, ruff, mypy, import rules
	$(get_chromium)
	@$(TEST_VENV)/bin/python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider

dev: $(TEST_VENV)/.installed ## Install what writing notebooks needs (about 8 GB, most of it PyTorch)

$(TEST_VENV)/.installed: $(SOURCES)
	$(check_python)
	@echo "Installing the development set into $(TEST_VENV) (about 8 GB, most of it PyTorch, once) ..."
	@test -x $(TEST_VENV)/bin/python || $(PYTHON) -m venv $(TEST_VENV)
	@$(TEST_VENV)/bin/python $(PIP) -e '.[dev,train,parquet,heif,aws,local,app,biosignals,drift,cluster,office]'
	$(call check_opencv,$(TEST_VENV))
	@touch $@

export: $(TEST_VENV)/.installed ## Clean the notebooks, bring fea/ and README.md in line with them
	@$(TEST_VENV)/bin/nbdev_clean
	@$(TEST_VENV)/bin/python tools/export.py
	@$(TEST_VENV)/bin/python tools/make_readme.py

docs: $(TEST_VENV)/.installed ## The documentation site, into _docs (no broken link passes)
	@$(TEST_VENV)/bin/python tools/make_docs.py --out _docs

bench: $(TEST_VENV)/.installed ## Measure speed and memory (some minutes)
	$(TEST_VENV)/bin/python bench/run.py

cloud: $(CLOUD_VENV)/.installed ## Install fea with what it needs for AWS

$(CLOUD_VENV)/.installed: $(SOURCES)
	$(check_python)
	@echo "Installing fea for AWS into $(CLOUD_VENV) (about 1.5 GB, most of it SageMaker's SDK, once) ..."
	@$(PYTHON) -m venv $(CLOUD_VENV)
	@$(CLOUD_VENV)/bin/python $(PIP) -e '.[aws]'
	$(call check_opencv,$(CLOUD_VENV))
	@touch $@

# The tag comes from whoever may push one: the shell takes it from the environment, in quotes, and make never reads it
register: $(CLOUD_VENV)/.installed ## Register the model of this checkout in SageMaker (FEA_BUCKET, SAGEMAKER_ROLE, TAG=model-vVERSION)
	@tag="$${TAG:-model-v$$(sed -n 's/^version = //p' settings.ini)}"; \
	case "$$tag" in *[!A-Za-z0-9.+-]*) echo "a tag has letters, digits and . + - in it, and nothing else" >&2; exit 2;; model-v[0-9]*) ;; \
	*) echo "a tag begins with model-v and a version" >&2; exit 2;; esac; \
	$(CLOUD_VENV)/bin/fea register --version-is "$${tag#model-v}"

constraints: ## Write the versions of the development set to constraints.txt, after the tests have passed with them
	@{ sed -n '/^#/p' constraints.txt; $(TEST_VENV)/bin/python -m pip freeze --disable-pip-version-check --exclude-editable --exclude fea --exclude fea-expressions \
	| grep -v -i -E '^(nvidia|cuda|triton)'; } > constraints.new && mv constraints.new constraints.txt

audit: ## Ask PyPI whether what constraints.txt pins has a known weakness (needs the network)
	$(check_python)
	@test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit==2.10.1
	@.venv-audit/bin/python tools/audit.py

clean: ## Remove what was built; the environments stay
	rm -rf build dist *.egg-info _docs $(OUT) .ruff_cache .mypy_cache .pytest_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
