"""``python3 -m fence_prbarrier``: the fence agent."""

from .agent.cli import script

script()
