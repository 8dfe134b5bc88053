# Every command of the project; `make help` lists them. Each makes what it needs: uv, interpreters, environments, the
# compiled package. WEFT_PYTHONS="3.14 3.13t" says which interpreters to use; ARGS="…" is handed on.

SHELL := /bin/bash
.DEFAULT_GOAL := help
ARGS ?=
TEST_ABREAST ?= 2
STRESS_RUNS ?= 20
STRESS_ABREAST ?= 2
CHAOS_ABREAST ?= 1

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the main job: analyse the standard library's source, in parallel (ARGS=PATH for another tree)
	@venv="$$(tools/venv --with demo best)" && exec "$$venv/bin/weft" demo $(ARGS)

.PHONY: test
test: ## all tests, on every interpreter (TEST_ABREAST at a time), and the C++ tests (ARGS="tests/test_run.py -k auto" for some)
	@tools/test --native --abreast $(TEST_ABREAST) $(ARGS)

.PHONY: test-engines
test-engines: ## pipelines on real engines, one after the other, the long tests too, on 3.13 and 3.14 (WEFT_ENGINES="dask ray" for some)
	@status=0; for engine in $${WEFT_ENGINES:-dask daft modal ray spark}; do \
		WEFT_ENGINES="$$engine" WEFT_PYTHONS="$${WEFT_PYTHONS:-3.13 3.14}" \
			tools/test --engines $(if $(ARGS),$(ARGS),tests/engines) || status=1; \
	done; exit $$status

.PHONY: test-native
test-native: ## the C++ tests: release, under ThreadSanitizer, under AddressSanitizer
	@tools/native release tsan asan

.PHONY: stress
stress: ## the suite STRESS_RUNS times (20) on the free-threaded 3.13, STRESS_ABREAST (2) at a time
	@WEFT_PYTHONS="$${WEFT_PYTHONS:-3.13t}" tools/test --repeat $(STRESS_RUNS) --abreast $(STRESS_ABREAST) $(ARGS)

CHAOS := $(addprefix tests/executors/test_,faults.py remote_faults.py processes.py inherited.py shutdown.py template_ends.py exit.py fork.py \
	signals.py timeouts.py cpython.py spares.py subinterpreters.py) tests/parallel/test_interrupts.py tests/aio/test_leaks.py \
	tests/futures/test_future_machine.py tests/futures/test_compose.py tests/compat/test_cpython.py \
	$(addprefix tests/debug/test_,dump.py trace_files.py tracing.py) \
	tests/pipelines/test_resume.py tests/test_benchmarks.py tests/actors

.PHONY: chaos
chaos: ## the faults that workers and callers meet, in full counts, on 3.14 and 3.13t (CHAOS_ABREAST at a time, 1); an hour
	@WEFT_PYTHONS="$${WEFT_PYTHONS:-3.14 3.13t}" WEFT_TEST_DEADLINE=14000 WEFT_CHAOS=full \
		tools/test --abreast $(CHAOS_ABREAST) $(if $(ARGS),$(ARGS),$(CHAOS))

.PHONY: bench
bench: ## weft beside the standard library: the table of speed-ups
	@tools/bench $(ARGS)

.PHONY: lint
lint: ## ruff, and the project's own checks
	@tools/check lint

.PHONY: format
format: ## put the code's format right
	@tools/check format

.PHONY: types
types: ## pyright (strict), and the stub of the C++ module against what was built
	@tools/check types

.PHONY: docs
docs: ## build the documentation into site/
	@venv="$$(tools/venv --with docs best)" && NO_MKDOCS_2_WARNING=1 exec "$$venv/bin/mkdocs" build --strict $(ARGS)

.PHONY: pythons
pythons: ## where the interpreters are; makes the ones that are missing
	@tools/pythons

.PHONY: clean
clean: ## remove what was built and the tools' caches; the environments stay
	@rm -rf build dist site demo .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

.PHONY: distclean
distclean: clean ## remove the environments too
	@rm -rf .venv
