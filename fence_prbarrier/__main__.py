"""``python3 -m fence_prbarrier``: the fence agent."""

import sys

from .agent.cli import main

sys.exit(main())
