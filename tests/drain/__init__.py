"""Drain: writes of a victim are held up below the target while a fence strikes."""
