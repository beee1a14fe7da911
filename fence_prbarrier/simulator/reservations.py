"""Persistent reservations: the registrations, the reservation, and the seven service actions.

Pure state. A service action returns an Effect: which unit attentions it establishes and whose
tasks it aborts; the logical unit carries that out. Choices made where the standard
leaves room:

- REGISTER with both keys zero from an unregistered I_T nexus "does nothing" (table 47):
  PRGENERATION does not count it and its APTPL bit is not taken.
- A registration made with ALL_TG_PT is one registration that every I_T nexus of its initiator
  port shares; changing or removing it through any of them changes it for all.
- PREEMPT under an all-registrants reservation with a key that is also the preemptor's own
  removes the preemptor's registration, too (5.7.11.4.4 excepts nobody).
"""

from __future__ import annotations

from . import ports
from .codes import (
    ALL_REGISTRANTS_TYPES,
    COMMUNICATION_FAILURE,
    INSUFFICIENT_REGISTRATION_RESOURCES,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    LU_SCOPE,
    PREEMPT_AND_ABORT,
    REGISTER_AND_IGNORE_EXISTING_KEY,
    REGISTRANTS_ONLY_TYPES,
    RESERVATIONS_PREEMPTED,
    RESERVATIONS_RELEASED,
    TYPE_NAMES,
)
from .profiles import ABORT_NONE, ABORT_PREEMPTED, Spec
from .registrations import Effect, Registration, Request
from .values import CheckCondition, Conflict, Nexus, SimulatorError

GENERATION_LIMIT = 1 << 32  # PRGENERATION wraps, 6.15.2


class Reservations:
    """The state, and what each service action does to it."""

    __slots__ = ("profile", "limit", "registrations", "type", "holder", "generation", "aptpl")

    def __init__(self, profile: type[Spec], limit: int) -> None:
        self.profile = profile
        self.limit = limit
        self.registrations: list[Registration] = []
        self.type = 0  # 0: no reservation. The scope is always LU_SCOPE.
        # None with an all-registrants type, but where one holds for all.
        self.holder: Registration | None = None
        self.generation = 0
        self.aptpl = False

    # --- Asking ---

    def of(self, nexus: Nexus) -> Registration | None:
        for registration in self.registrations:
            if registration.covers(nexus):
                return registration
        return None

    def holds(self, registration: Registration | None) -> bool:
        """Whether this registration is a persistent reservation holder, 5.7.10."""
        if registration is None or not self.type:
            return False
        return self.type in ALL_REGISTRANTS_TYPES or registration is self.holder

    def holder_key(self) -> int:
        """RESERVATION KEY of READ RESERVATION: zero for the all-registrants types, 6.15.3.2."""
        if self.holder is None or self.type in ALL_REGISTRANTS_TYPES:
            return 0
        return self.holder.key

    def stamp(self) -> int:
        """[lio] pr_res_key of a command: the key of the one that holds now, whatever the type."""
        return 0 if self.holder is None else self.holder.key

    # --- Service actions ---

    def register(self, request: Request) -> Effect:
        """REGISTER and REGISTER AND IGNORE EXISTING KEY, 5.7.7 tables 47 and 48."""
        ignore = request.action == REGISTER_AND_IGNORE_EXISTING_KEY
        own = self.of(request.nexus)
        affected = [own] if own else []
        if request.all_tg_pt:
            # As if the command had come through every target port.
            affected = [
                each for each in self.registrations if each.nexus.same_initiator_port(request.nexus)
            ]
        if not ignore:
            if own is None and request.key:
                raise Conflict
            if any(each.key != request.key for each in affected):
                raise Conflict
        if own:
            self._check_change(own, request)
        if not request.action_key:
            if not affected:
                return Effect()
            effect = self._unregister(affected)
        elif own is None:
            self._add(request, affected)
            effect = Effect()
        else:
            self._change(own, request, affected)
            effect = Effect()
        self.aptpl = request.aptpl
        if request.action_key or self.profile.unregistering_counts:
            self.count()
        return effect

    def reserve(self, request: Request) -> Effect:
        """RESERVE, 5.7.9."""
        self._check_type(request)
        own = self.registered(request, check_key=not self.profile.reserve_ignores_key)
        if self.profile.scope_after_key:
            self._check_scope(request)
        if self.type:
            if not self.holds(own) or request.type != self.type or self._scope_lost():
                raise Conflict
            return Effect()  # a holder may reserve again: nothing changes
        self._establish(own, request.type)
        return Effect()

    def release(self, request: Request) -> Effect:
        """RELEASE, 5.7.11.2."""
        late = self.profile.release_ignores_key_of_others
        own = self.registered(request, check_key=not late)
        effect = Effect()
        if not self.holds(own):
            return effect
        if request.key != own.key:
            raise Conflict
        if request.type != self.type or request.scope != LU_SCOPE or self._scope_lost():
            if self.profile.release_of_other_type is None:
                raise Conflict
            raise CheckCondition(self.profile.release_of_other_type)
        if self.type in self.profile.released_attention_types:
            self._attend_others(effect, own, RESERVATIONS_RELEASED)
        self._drop()
        return effect

    def clear(self, request: Request) -> Effect:
        """CLEAR, 5.7.11.6."""
        own = self.registered(request)
        effect = Effect()
        self._attend_others(effect, own, RESERVATIONS_PREEMPTED)
        self._drop()
        self.registrations = []
        if self.profile.clear_stops_aptpl:
            self.aptpl = False
        self.count()
        return effect

    def preempt(self, request: Request) -> Effect:
        """PREEMPT and PREEMPT AND ABORT, 5.7.11.4 and 5.7.11.5."""
        if self.profile.preempt_always_checks_type:
            self._check_type(request)
        own = self.registered(request)
        if self.profile.scope_after_key:
            self._check_scope(request)
        if request.action in self.profile.preempt_does_nothing:
            self.count()
            return Effect()
        all_registrants = self.type in ALL_REGISTRANTS_TYPES
        victim_key = request.action_key
        if not victim_key and not all_registrants:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
        if victim_key:
            victims = [each for each in self.registrations if each.key == victim_key]
        else:
            victims = list(self.registrations)
        if not victims:
            raise Conflict
        takes_over = self.holder in victims or (all_registrants and not victim_key)
        if takes_over:
            self._check_type(request)
        effect = Effect()
        if request.action == PREEMPT_AND_ABORT:
            self._plan_abort(effect, own, victims, takes_over and bool(victim_key))
        if takes_over:
            self._take_over(effect, own, victims, request.type)
        else:
            self._remove_registrations(effect, own, victims)
        self.count()
        return effect

    def move(self, own: Registration, there: Registration) -> None:
        """Make another registration the holder.

        [lio] core_scsi3_emulate_pro_register_and_move takes the type for the scope and gives it
        to the old holder: should that one hold again by a move, no scope matches its own.
        """
        self.holder = there
        own.scope_lost = True

    def restore(self, kind: int, holder: Registration | None) -> None:
        """Set the reservation as it was saved."""
        nobody = kind in ALL_REGISTRANTS_TYPES and not self.profile.one_holds_for_all
        if (holder is None) != nobody:
            raise SimulatorError(f"reservation of type {kind} with the wrong kind of holder")
        self.type = kind
        self.holder = holder

    def power_cycle(self) -> None:
        """5.7.5: what the last APTPL bit says; PRGENERATION starts again, 6.15.2."""
        if not self.aptpl:
            self.registrations = []
            self._drop()
        self.generation = len(self.registrations) if self.profile.restoring_counts else 0

    # --- Parts ---

    def count(self) -> None:
        self.generation = (self.generation + 1) % GENERATION_LIMIT

    def registered(self, request: Request, check_key: bool = True) -> Registration:
        """The caller's registration, with the key that it gives; else a conflict, 5.7.1."""
        own = self.of(request.nexus)
        if own is None:
            if not self.type and request.action in self.profile.not_ready_unregistered:
                raise CheckCondition(COMMUNICATION_FAILURE)
            raise Conflict
        if check_key and request.key != own.key:
            raise Conflict
        return own

    def _check_type(self, request: Request) -> None:
        if request.type not in TYPE_NAMES:
            raise CheckCondition(INVALID_FIELD_IN_CDB)
        if not self.profile.scope_after_key:
            self._check_scope(request)

    def _check_scope(self, request: Request) -> None:
        if request.scope != LU_SCOPE:
            raise CheckCondition(self.profile.bad_scope)

    def _check_change(self, own: Registration, request: Request) -> None:
        if request.with_ports:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
        if own.all_tg_pt and not request.all_tg_pt and self.profile.all_tg_pt_sticks:
            raise CheckCondition(INVALID_FIELD_IN_CDB)

    def _add(self, request: Request, replaced: list[Registration]) -> None:
        named = ports.named(self, request) if request.with_ports else []
        if len(self.registrations) - len(replaced) + len(named) >= self.limit:
            raise CheckCondition(INSUFFICIENT_REGISTRATION_RESOURCES)
        added = Registration(request.nexus, request.action_key, request.all_tg_pt)
        if self.holder in replaced:
            self.holder = added
        self.registrations = [each for each in self.registrations if each not in replaced]
        self.registrations.append(added)
        for nexus in named:
            self.registrations.append(Registration(nexus, added.key, added.all_tg_pt))
            self.count()

    def _change(self, own: Registration, request: Request, merged: list[Registration]) -> None:
        """A new key in place: a holder stays holder, 5.7.10."""
        own.key = request.action_key
        if self.profile.all_tg_pt_by_change:
            own.all_tg_pt = own.all_tg_pt or request.all_tg_pt
        if self.holder in merged:
            self.holder = own
        self.registrations = [
            each for each in self.registrations if each is own or each not in merged
        ]

    def _unregister(self, gone: list[Registration]) -> Effect:
        """5.7.11.3: who holds releases; the others hear of it under registrants only."""
        effect = Effect()
        self.registrations = [each for each in self.registrations if each not in gone]
        if self.holder in gone and self.type not in ALL_REGISTRANTS_TYPES:
            if self.type in REGISTRANTS_ONLY_TYPES:
                for each in self.registrations:
                    effect.attentions.append((each, RESERVATIONS_RELEASED))
            self._drop()
        elif self.holder and self.holder in gone and self.registrations:
            self.registrations[0].scope_lost = self.holder.scope_lost
            self.holder = self.registrations[0]
        self._drop_if_nobody_is_left()
        return effect

    def _establish(self, own: Registration, kind: int) -> None:
        nobody = kind in ALL_REGISTRANTS_TYPES and not self.profile.one_holds_for_all
        self._drop()
        own.scope_lost = False
        self.type = kind
        self.holder = None if nobody else own

    def _scope_lost(self) -> bool:
        return self.holder is not None and self.holder.scope_lost

    def _drop(self) -> None:
        if self.holder is not None:
            self.holder.scope_lost = False
        self.type = 0
        self.holder = None

    def _drop_if_nobody_is_left(self) -> None:
        if not self.registrations:
            self._drop()

    def _attend_others(self, effect: Effect, own: Registration, attention: tuple[int, int]) -> None:
        for each in self.registrations:
            if each is not own:
                effect.attentions.append((each, attention))

    def _plan_abort(
        self, effect: Effect, own: Registration, victims: list[Registration], of_holder: bool
    ) -> None:
        """5.7.11.5: the tasks of every I_T nexus registered with the key, the caller's, too."""
        if self.profile.abort == ABORT_PREEMPTED:
            effect.abort_of = list(victims)
        elif self.profile.abort != ABORT_NONE and of_holder:
            effect.abort_stamped = frozenset(each.key for each in victims) | {own.key}

    def _take_over(
        self, effect: Effect, own: Registration, victims: list[Registration], kind: int
    ) -> None:
        """5.7.11.4.3: the reservation passes to the caller, whose registration stays."""
        lost = [each for each in victims if each is not own]
        self.registrations = [each for each in self.registrations if each not in lost]
        for each in lost:
            effect.attentions.append((each, self.profile.preempted_attention))
        if kind != self.type or self._scope_lost():
            self._attend_others(effect, own, RESERVATIONS_RELEASED)
        self._establish(own, kind)

    def _remove_registrations(
        self, effect: Effect, own: Registration, victims: list[Registration]
    ) -> None:
        """5.7.11.4.4: only registrations go; SCOPE and TYPE mean nothing."""
        if self.type in ALL_REGISTRANTS_TYPES:
            spare = self.profile.preempt_spares_caller_all_registrants
        else:
            spare = self.profile.preempt_spares_caller
        lost = [each for each in victims if not (spare and each is own)]
        self.registrations = [each for each in self.registrations if each not in lost]
        for each in lost:
            if each is not own:
                effect.attentions.append((each, self.profile.preempted_attention))
        self._drop_if_nobody_is_left()
