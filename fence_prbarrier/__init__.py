"""SCSI-3 persistent reservation I/O barriers for Pacemaker clusters.

Nodes that share logical units (LUs) register a key on each of them; one
WRITE EXCLUSIVE - REGISTRANTS ONLY reservation stands on each; a survivor takes
a failed node's key away with PREEMPT AND ABORT.

Imports point one way: ``errors, key <- scsi <- barrier <- dispatcher <- agent``.
"""

__version__ = "0.1.0"
