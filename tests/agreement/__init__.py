"""The simulated logical unit against Linux LIO: the same bytes to both, from three nexuses.

`generate` makes random sequences of commands, `sides` sends them to the simulator (profile `lio`)
and to the target in the lab, `compare` finds the first answer that differs and the shortest
sequence that shows it, `deviations` says where profile `lio` departs from `spec`, and why.

`python3 -m tests.agreement` runs as much as one likes, and finds the same again from its seed.
"""
