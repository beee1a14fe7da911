"""One registration, one request about registrations and the reservation, and its effect."""

from __future__ import annotations

from .values import Nexus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


class Registration:
    """One registered I_T nexus, or with ALL_TG_PT all those of one initiator port."""

    __slots__ = ("nexus", "key", "all_tg_pt", "scope_lost")

    def __init__(self, nexus: Nexus, key: int, all_tg_pt: bool, scope_lost: bool = False) -> None:
        self.nexus = nexus
        self.key = key
        self.all_tg_pt = all_tg_pt
        # [lio] has written the type where the scope should stand; see ports.register_and_move.
        self.scope_lost = scope_lost

    def covers(self, nexus: Nexus) -> bool:
        if self.all_tg_pt:
            return self.nexus.same_initiator_port(nexus)
        return self.nexus == nexus


class Request:
    """The fields of one PERSISTENT RESERVE OUT command, 6.16.2 and 6.16.3."""

    __slots__ = (
        "nexus",
        "action",
        "scope",
        "type",
        "key",
        "action_key",
        "all_tg_pt",
        "aptpl",
        "with_ports",
        "known",
    )

    def __init__(
        self,
        nexus: Nexus,
        action: int,
        scope_and_type: int,
        key: int,
        action_key: int,
        all_tg_pt: bool,
        aptpl: bool,
        with_ports: bytes = b"",
        known: Collection[Nexus] = (),
    ) -> None:
        self.nexus = nexus
        self.with_ports = with_ports  # the whole list where it bears TransportIDs
        self.known = known  # the I_T nexuses that such a list may name
        self.action = action
        self.scope = scope_and_type >> 4
        self.type = scope_and_type & 0x0F
        self.key = key
        self.action_key = action_key
        self.all_tg_pt = all_tg_pt
        self.aptpl = aptpl


class Effect:
    """What a service action does outside the reservation state."""

    __slots__ = ("attentions", "abort_of", "abort_stamped")

    def __init__(self) -> None:
        self.attentions: list[tuple[Registration, tuple[int, int]]] = []
        # Registrations whose tasks are to be aborted, and the keys by which the `lio` profile
        # picks tasks instead.
        self.abort_of: list[Registration] = []
        self.abort_stamped: frozenset[int] = frozenset()
