"""A simulated logical unit: an independent reading of SPC that takes bytes and gives bytes.

It is the check on the encoders, decoders and procedures of this package, and imports none of
them: two readings of the standard that agree are worth more than one.

- `unit.LogicalUnit`: the unit itself, pure: no I/O, no clock.
- `store`: one unit in one file that many processes share, as nodes share a logical unit.
- `profiles`: how known targets depart from the standard.
- `faults`: what can be made to go wrong, and how it is written.
- `python3 -m fence_prbarrier.simulator`: for people.

The fault model
---------------
*Commands and replies* can be lost apart from each other. A lost command was never executed; a
lost reply belongs to a command that was. The initiator sees the same in both cases, a host
status and nothing else, and cannot tell which it was. Replies can also come late (the command is
executed late, after whatever else arrives meanwhile), cut short, or with another status or sense
than the command earned. A command is executed at most once; replies are never altered otherwise,
and never reach another initiator.

*Commands in flight*: a held command has been accepted, its reservation check is over, and what it
does is still to come. The initiator sees a time-out. It is later completed, and then does what it
does whatever has been reserved or preempted since; or it is aborted, by PREEMPT AND ABORT or
LOGICAL UNIT RESET or loss of power, and then never does anything.

*Paths* can be dead: nothing that is sent on them arrives, until they are repaired. Registrations
stay, as they do on a real unit.

*The unit* can lose power at any moment between two commands. What then persists is what APTPL
says. It can run out of room for registrations and for tasks. It cannot lose its memory otherwise,
fail half-way through a command, or corrupt its medium. A profile other than `spec` can also lie,
in the one way that its comment states.

*Processes* that use a unit in a file can be killed at any instant. A command is then executed or
not, and never in part. The machine under them is taken to be sound: a crash of it is outside this
model, and a file that is damaged is an error, never an empty unit.

*Time* does not exist inside the unit: commands are executed one at a time, in the order in which
they get the lock.
"""
