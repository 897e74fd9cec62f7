# Every target works on a bare machine with Python 3.11+ and pip, as root or not, twice in a row, and from a path
# with a space in it. That is why no path is ever a make target: what is installed is noted inside the environment.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
export VENV PYTHON
# Some images forbid Python to keep what it compiled. Then each process compiles all it imports anew: seconds of a
# processor at each start, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

# Anything said while installing goes to stderr, so that `make demo ARGS=--json` prints one object on stdout.
PIP_ENV := PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
UV ?= uv
LOCK := $(UV) pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" pyproject.toml

# `pip install` into the environment, with its own pip or, where it has none, with that of $PYTHON.
define PIP
if "$$VENV/bin/python" -m pip --version >/dev/null 2>&1; then \
	pip() { $(PIP_ENV) "$$VENV/bin/python" -m pip install --quiet --no-compile "$$@" >&2; }; \
else \
	pip() { $(PIP_ENV) "$$PYTHON" -m pip --python "$$VENV/bin/python" install --quiet --no-compile "$$@" >&2; }; \
fi
endef

# $(call install,LOCK): bring the environment to that lock unless it is there already. Once the larger lock has been
# installed, the environment stays with it.
define install
@set -eu; \
lock=$(1); [ ! -e "$$VENV/.installed-requirements-dev.lock" ] || lock=requirements-dev.lock; \
note="$$VENV/.installed-$$lock"; want="$$(cat "$$lock" pyproject.toml | cksum)"; \
if [ -x "$$VENV/bin/quartermaster" ] && [ "$$(cat "$$note" 2>/dev/null || true)" = "$$want" ]; then exit 0; fi; \
"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Quartermaster needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ..." >&2; exit 1; }; \
echo "Installing from $$lock into $$VENV (once; about a minute)" >&2; \
[ -x "$$VENV/bin/python" ] || "$$PYTHON" -m venv "$$VENV" >&2 || "$$PYTHON" -m venv --without-pip "$$VENV" >&2; \
$(PIP); \
pip --require-hashes --requirement "$$lock"; \
pip --no-deps --no-build-isolation --editable .; \
echo "$$want" > "$$note"
endef

# The oldest XGBoost that is supported, in a folder of its own: a test replays with the newest what it decided.
define oldest
@set -eu; note="$$VENV/.installed-requirements-oldest.lock"; want="$$(cksum < requirements-oldest.lock)"; \
if [ "$$(cat "$$note" 2>/dev/null || true)" = "$$want" ]; then exit 0; fi; \
rm -rf "$$VENV/oldest-xgboost"; \
$(PIP); \
pip --target "$$VENV/oldest-xgboost" --no-deps --require-hashes --requirement requirements-oldest.lock; \
echo "$$want" > "$$note"
endef

# Most tests keep one core busy, or wait for a process of their own. A file stays together: its tests share a world.
TESTS_AT_ONCE ?= 2
PYTEST = "$$VENV/bin/pytest" --numprocesses $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder

.PHONY: setup engine up demo lint check test bench browser kafka pictures lock clean
.NOTPARALLEL:

# Everything: what runs and what proves it.
setup:
	$(call install,requirements-dev.lock)
	$(oldest)

# Only what runs: all that `up` and `demo` need, without the test tools.
engine:
	$(call install,requirements.lock)

up: engine
	@exec "$$VENV/bin/quartermaster" up $(ARGS)

demo: engine
	@exec "$$VENV/bin/quartermaster" demo $(ARGS)

lint: setup
	"$$VENV/bin/ruff" format --check .
	"$$VENV/bin/ruff" check .
	"$$VENV/bin/mypy"
	"$$VENV/bin/lint-imports"

check: lint
	$(PYTEST) tests/unit tests/architecture $(ARGS)

test: lint browser kafka
	OLDEST_XGBOOST=required $(PYTEST) $(ARGS)

# Three JSON lines on stdout, some minutes together.
bench: engine
	@for one in intake assess ledger; do "$$VENV/bin/quartermaster" bench "$$one" --json $(ARGS) || exit; done

# The browser tests drive a Chromium that is already there; this fetches Debian's where we may, and never fails.
browser:
	@command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
			{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >&2; \
		fi; \
	} || echo "no Chromium, and it could not be installed: the browser tests need one" >&2

# Apache Kafka beside the environment, for the tests that run on it: its jars through Maven, once. Never fails.
kafka: setup
	@note="$$VENV/.installed-apache-kafka"; want="$$(cat tests/kafka/pom.xml tests/kafka/jars.sha256 | cksum)"; \
	[ "$$(cat "$$note" 2>/dev/null || true)" != "$$want" ] || { command -v java >/dev/null 2>&1 && exit 0; }; \
	{ command -v java && command -v mvn; } >/dev/null 2>&1 || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
			{ apt-get update -qq && \
				apt-get install -y -qq --no-install-recommends default-jre-headless maven; } >&2; \
		fi; \
	}; \
	folder="$$(cd "$$VENV" && pwd)/apache-kafka"; rm -rf "$$folder"; \
	echo "Fetching Apache Kafka into $$folder (once)" >&2; \
	{ mvn --quiet --batch-mode --file tests/kafka/pom.xml dependency:copy-dependencies \
		-Dstyle.color=never "-DoutputDirectory=$$folder" -DincludeScope=runtime >&2 && \
		sums="$$PWD/tests/kafka/jars.sha256" && \
		cd "$$folder" && sha256sum --quiet --check "$$sums" >&2 && cd "$$OLDPWD" && echo "$$want" > "$$note"; \
	} || { rm -rf "$$folder"; \
		echo "no Apache Kafka, and it could not be fetched: its tests need Java 17 and Maven" >&2; }

# The pictures of docs/console.md, from a demo world that is played for them (about four minutes).
pictures: setup browser
	"$$VENV/bin/python" -m tests.browser.pictures $(ARGS)

# Maintainers only, with uv on the PATH: pin anew, with hashes and without any index address.
lock:
	$(LOCK) --extra embedded --extra console --extra build $(ARGS) --output-file requirements.lock
	$(LOCK) --all-extras --constraint requirements.lock $(ARGS) --output-file requirements-dev.lock
	sed -n 's/^ *"\(xgboost[a-z-]*\)>=\([0-9.]*\);\(.*\)",$$/\1==\2;\3/p' pyproject.toml | \
		$(patsubst pyproject.toml,-,$(LOCK)) --no-deps --output-file requirements-oldest.lock

clean:
	rm -rf "$$VENV" build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
