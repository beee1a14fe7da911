"""The procedures of the barrier, pure.

They are generators: they yield a request and receive an outcome; they open
nothing, read no clock and know no transport.  So the same code runs over
SG_IO, over a simulated LU, and under a test that tries every interleaving.

``inspect``, ``join`` and ``evict`` work on one LU; ``everywhere`` runs them on
all LUs of a node in the order that decides a duel.  ``clear`` is for people.
"""
