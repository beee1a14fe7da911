"""The agent as a process, over simulated LUs: what a cluster manager sees of it."""
