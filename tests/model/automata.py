"""The shipped plans and procedures, unrolled into automata as the exploration meets them.

A generator cannot be copied.  What it does next depends on how it was made and on the
answers that it was given, and on nothing else: it is sans IO.  So each is run once for
each course of answers, by running a new one through the answers again where the live one
has gone on already, and what it then asks for is kept as a node.  Nodes whose suspended
generators have one canonical form are one node (``merge``).

A plan and the jobs of its ``Each`` are automata of their own: jobs run side by side.
"""

from __future__ import annotations

import copy
from typing import Any, Callable

from fence_prbarrier.barrier.everywhere import Remember
from fence_prbarrier.errors import BarrierError
from fence_prbarrier.scsi.command import Pause
from fence_prbarrier.scsi.outcome import Outcome

from .canon import canonical

# No action takes so many steps; a plan that does is one that does not end (rule 10).
MAX_ANSWERS = 600
PAUSED = Outcome("good", "paused")


class Endless(Exception):
    """A procedure that asks for more commands than any limit allows."""


class Job:
    """A procedure on one LU, waiting for the answer to ``request``, or at its ``end``."""

    __slots__ = ("number", "plan", "name", "answers", "live", "request", "end", "next")

    def __init__(self, plan: Plan, name: str, answers: tuple[Any, ...]) -> None:
        self.number = -1
        self.plan = plan
        self.name = name
        self.answers = answers
        self.live: Any = None
        self.request: Any = None
        self.end = -1
        self.next: dict[int, Job] = {}


class Plan:
    """A plan, waiting for its jobs or for ``remember`` to be durable, or at its ``end``."""

    __slots__ = ("number", "made", "answers", "live", "jobs", "fresh", "remember", "end", "next")

    def __init__(self, made: Callable[[], Any], answers: tuple[Any, ...]) -> None:
        self.number = -1
        self.made = made
        self.answers = answers
        self.live: Any = None
        self.jobs: dict[str, Job] = {}
        self.fresh: dict[str, Any] = {}
        self.remember: Any = None
        self.end = -1
        self.next: dict[Any, Plan] = {}


class Automata:
    """All nodes met so far, and the results that they ended with, by number."""

    def __init__(self, merge: bool = True) -> None:
        self.merge = merge
        self.plans: list[Plan] = []
        self.jobs: list[Job] = []
        self.results: list[Any] = []
        self._plan_of: dict[Any, Plan] = {}
        self._job_of: dict[Any, Job] = {}
        self._result_of: dict[Any, int] = {}
        self._roots: dict[Any, Plan] = {}

    def result(self, value: Any) -> int:
        """The number of a result or of an error; equal ones have one."""
        form = canonical(value)
        number = self._result_of.setdefault(form, len(self.results))
        if number == len(self.results):
            self.results.append(value)
        return number

    # --- Plans ---

    def start(self, name: Any, made: Callable[[], Any]) -> Plan:
        """The first node of the plan that ``made`` makes; one name, one plan."""
        if name not in self._roots:
            self._roots[name] = self._advance_plan(Plan(made, ()), made(), None)
        return self._roots[name]

    def after(self, plan: Plan, answer: Any) -> Plan:
        """The plan's next node: after its jobs ended so (name, result number), or None."""
        found = plan.next.get(answer)
        if found is None:
            live, plan.live = plan.live, None
            if live is None:
                live = self._replay_plan(plan)
            child = Plan(plan.made, (*plan.answers, answer))
            found = plan.next[answer] = self._advance_plan(child, live, self._told(answer))
        return found

    def _told(self, answer: Any) -> Any:
        """What the plan receives: a new error each time, for plans write on them."""
        if answer is None:
            return None
        told = {}
        for name, number in answer:
            value = self.results[number]
            told[name] = copy.copy(value) if isinstance(value, BarrierError) else value
        return told

    def _replay_plan(self, plan: Plan) -> Any:
        live = plan.made()
        next(live)
        for answer in plan.answers:
            live.send(self._told(answer))
        return live

    def _advance_plan(self, plan: Plan, live: Any, told: Any) -> Plan:
        if len(plan.answers) > MAX_ANSWERS:
            raise Endless("a plan that does not end")
        try:
            effect = live.send(told)
        except StopIteration as stop:
            plan.end = self.result(stop.value)
            return self._known_plan(plan, ("end", plan.end), None)
        except BarrierError as error:
            plan.end = self.result(error)
            return self._known_plan(plan, ("end", plan.end), None)
        if isinstance(effect, Remember):
            plan.remember = effect.memory
            return self._known_plan(plan, canonical(live, effect.memory), live)
        plan.fresh = dict(effect.jobs)
        form = canonical(live, effect.jobs) if self.merge else None
        return self._known_plan(plan, form, live)

    def _known_plan(self, plan: Plan, form: Any, live: Any) -> Plan:
        if self.merge or plan.end >= 0:
            known = self._plan_of.setdefault(form, plan)
            if known is not plan:
                return known
        plan.number = len(self.plans)
        self.plans.append(plan)
        plan.live = live
        for name in plan.fresh:
            job = Job(plan, name, ())
            procedure = plan.fresh[name]
            plan.jobs[name] = self._advance_job(job, procedure, None)
        plan.fresh = {}
        return plan

    # --- Jobs ---

    def answered(self, job: Job, number: int, outcome: Callable[[], Outcome]) -> Job:
        """The job's next node after this answer; ``number`` stands for the outcome."""
        found = job.next.get(number)
        if found is None:
            live, job.live = job.live, None
            if live is None:
                live = self._replay_job(job)
            value = outcome()
            child = Job(job.plan, job.name, (*job.answers, value))
            found = job.next[number] = self._advance_job(child, live, value)
        return found

    def _replay_job(self, job: Job) -> Any:
        plan = job.plan
        live_plan = plan.made()
        effect = next(live_plan)
        for answer in plan.answers:
            effect = live_plan.send(self._told(answer))
        live = effect.jobs[job.name]
        request = next(live)
        for answer in job.answers:
            while isinstance(request.action, Pause):
                request = live.send(PAUSED)
            request = live.send(answer)
        while isinstance(request.action, Pause):
            request = live.send(PAUSED)
        return live

    def _advance_job(self, job: Job, live: Any, answer: Outcome | None) -> Job:
        if len(job.answers) > MAX_ANSWERS:
            raise Endless(f"a procedure that does not end: {live.__qualname__}")
        try:
            request = live.send(answer)
            while isinstance(request.action, Pause):
                request = live.send(PAUSED)
        except StopIteration as stop:
            job.end = self.result(stop.value)
        except BarrierError as error:
            job.end = self.result(error)
        if job.end >= 0:
            return self._known_job(job, ("end", job.name, job.end), None)
        job.request = request
        form = canonical(live, request, job.name) if self.merge else None
        return self._known_job(job, form, live)

    def _known_job(self, job: Job, form: Any, live: Any) -> Job:
        if self.merge or job.end >= 0:
            known = self._job_of.setdefault(form, job)
            if known is not job:
                return known
        job.number = len(self.jobs)
        self.jobs.append(job)
        job.live = live
        return job

    # --- Rule 10 ---

    def longest(self) -> int:
        """The most commands that one action sends to one LU, on any course met; Endless if a ring.

        Each visited course counts, also one that merges with another.
        """
        lengths: dict[Any, int] = {}
        return max((self._longest_plan(root, lengths) for root in self._roots.values()), default=0)

    def _longest_plan(self, plan: Plan, lengths: dict[Any, int]) -> int:
        if plan in lengths:
            if lengths[plan] < 0:
                raise Endless("a plan comes back to where it was")
            return lengths[plan]
        lengths[plan] = -1
        here = max((self._longest_job(job, lengths) for job in plan.jobs.values()), default=0)
        after = max((self._longest_plan(each, lengths) for each in plan.next.values()), default=0)
        lengths[plan] = here + after
        return lengths[plan]

    def _longest_job(self, job: Job, lengths: dict[Any, int]) -> int:
        if job in lengths:
            if lengths[job] < 0:
                raise Endless(f"a procedure comes back to where it was: {job.request.action!r}")
            return lengths[job]
        lengths[job] = -1
        after = (self._longest_job(each, lengths) + 1 for each in job.next.values())
        lengths[job] = max(after, default=0)
        return lengths[job]
