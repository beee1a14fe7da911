# The two commands of README.md, and what developers need besides.

PYTHON ?= python3

.PHONY: demo test lint metadata bench clean

# A fence, shown on simulated disks.  Needs Python 3.9 or later and nothing else.
demo:
	@command -v $(PYTHON) >/dev/null || (apt-get update && apt-get install -y --no-install-recommends python3)
	@$(PYTHON) -m fence_prbarrier.demo

# Every test, the lab with a real Linux target among them.  Installs what it needs.
test:
	@tests/run $(ARGS)

lint:
	@tests/run tests/unit/test_lint.py

# Write the exported XML anew; a test fails while it differs from the table of parameters.
metadata:
	$(PYTHON) -m fence_prbarrier -o metadata > metadata/fence_prbarrier.xml.new
	mv metadata/fence_prbarrier.xml.new metadata/fence_prbarrier.xml

bench:
	@tests/run --bench

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
