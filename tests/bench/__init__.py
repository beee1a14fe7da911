"""Benchmarks: scripts that print; nothing here is a timed test."""
