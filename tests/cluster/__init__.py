"""The laboratory's second rung: storage and three Pacemaker nodes, each a kernel of its own."""
