# The two commands of README.md, and what developers need besides.

PYTHON ?= python3

# Where `make install` puts things; DESTDIR goes before all of it.
PREFIX ?= /usr
DESTDIR ?=
AGENT_PYTHON ?= /usr/bin/python3
SBINDIR = $(PREFIX)/sbin
DATADIR = $(PREFIX)/share/fence_prbarrier
MANDIR = $(PREFIX)/share/man/man8
OCFDIR = $(PREFIX)/lib/ocf/resource.d/fence_prbarrier
# Where the watchdog daemon looks is not below /usr; another PREFIX has all of it below itself.
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
WATCHDOGDIR = $(SYSCONFDIR)/watchdog.d
FILL_IN = sed -e 's|@PYTHON@|$(AGENT_PYTHON)|' -e 's|@DATADIR@|$(DATADIR)|' \
    -e '1s|/usr/bin/python3|$(AGENT_PYTHON)|'

.PHONY: demo test cluster paths proof lint metadata bench times scale paths-table \
    install uninstall clean

# A fence, shown on simulated disks.  Needs Python 3.9 or later and nothing else.
demo:
	@command -v $(PYTHON) >/dev/null || (apt-get update && apt-get install -y --no-install-recommends python3)
	@$(PYTHON) -m fence_prbarrier.demo

# Every test, the lab with a real Linux target among them.  Installs what it needs.
test:
	@tests/run $(ARGS)

# Four kernels: a SAN and three Pacemaker nodes.  Half an hour, so not part of `make test`.
cluster:
	@tests/run tests/cluster $(ARGS)

# All of tests/multipath, with ARGS fences in the moment of path loss: ARGS=100 takes some 25 min.
paths:
	@PRBARRIER_PATH_ROUNDS=$(or $(ARGS),100) tests/run -s tests/multipath

# The deep form of everything that docs/SAFETY.md counts, and its tables; hours.  ARGS="PART ...".
proof:
	@tests/run --proof $(ARGS)

lint:
	@tests/run tests/unit/test_lint.py

# Write the exported XML anew; a test fails while it differs from the table of parameters.
metadata:
	$(PYTHON) -m fence_prbarrier -o metadata > metadata/fence_prbarrier.xml.new
	mv metadata/fence_prbarrier.xml.new metadata/fence_prbarrier.xml
	ocf/prbarrier meta-data > metadata/ocf_prbarrier.xml.new
	mv metadata/ocf_prbarrier.xml.new metadata/ocf_prbarrier.xml

bench:
	@tests/run --bench

# From a node's death to "fenced", ours and fence_scsi's, in the cluster: ARGS="ROUNDS LUS".
times:
	@tests/run --times $(ARGS)

# Ours, fence_mpath and fence_scsi on the same dm-multipath LUs, and when paths are dead:
# ARGS="REPETITIONS".
paths-table:
	@tests/run --paths $(ARGS)

# Commands, processes, memory and time of 1 to 256 simulated LUs, 4 paths, 64 nodes: ten minutes.
scale:
	@tests/run --scale $(ARGS)

# Fence agent and resource agent where Pacemaker looks for them, the watchdog daemon's check,
# the package, metadata and manual page.
install:
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(DATADIR) $(DESTDIR)$(MANDIR) $(DESTDIR)$(OCFDIR) \
	    $(DESTDIR)$(WATCHDOGDIR)
	rm -rf $(DESTDIR)$(DATADIR)/fence_prbarrier
	set -e; for folder in $$(find fence_prbarrier -name '*.py' -printf '%h\n' | sort -u); do \
	    install -d $(DESTDIR)$(DATADIR)/$$folder; \
	    install -m 644 $$folder/*.py $(DESTDIR)$(DATADIR)/$$folder/; \
	done
	install -m 644 metadata/fence_prbarrier.xml metadata/ocf_prbarrier.xml $(DESTDIR)$(DATADIR)/
	umask 022; $(AGENT_PYTHON) -m compileall -q -s "$(DESTDIR)" $(DESTDIR)$(DATADIR)/fence_prbarrier
# Never an empty program in place, not even for a moment or after a crash: execvp() gives that to
# the shell, which does nothing and ends with 0, as a fence that is done.
	umask 022; set -e; install_script() { $(FILL_IN) "$$1" > "$(DESTDIR)$$2.new"; \
	    chmod 755 "$(DESTDIR)$$2.new"; mv -f "$(DESTDIR)$$2.new" "$(DESTDIR)$$2"; }; \
	install_script install/fence_prbarrier.in $(SBINDIR)/fence_prbarrier; \
	install_script ocf/prbarrier $(OCFDIR)/prbarrier; \
	install_script install/watchdog.in $(WATCHDOGDIR)/prbarrier
	umask 022; $(AGENT_PYTHON) -m fence_prbarrier -o manpage > $(DESTDIR)$(MANDIR)/fence_prbarrier.8

uninstall:
	rm -rf $(DESTDIR)$(DATADIR) $(DESTDIR)$(OCFDIR)
	rm -f $(DESTDIR)$(SBINDIR)/fence_prbarrier $(DESTDIR)$(MANDIR)/fence_prbarrier.8 \
	    $(DESTDIR)$(WATCHDOGDIR)/prbarrier

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
