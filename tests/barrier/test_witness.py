"""What is a life that has gone, and what is a LU that has lost its state."""

from __future__ import annotations

from fence_prbarrier.barrier.inspect import Snapshot
from fence_prbarrier.barrier.witness import MAX_ENDED_PER_NODE, Witness
from fence_prbarrier.key import Key
from fence_prbarrier.scsi.reply import Registration, Reservation

from .world import TAG

LU, OTHER_LU = "naa.1", "naa.2"
OWN, SECOND, THIRD = (Key.build(TAG, node, 7) for node in (1, 2, 3))
FOREIGN = Key.build(TAG + 1, 2, 7)


def shows(*keys: Key, holder: Key | None = OWN) -> Snapshot:
    held = None if holder is None else Reservation(holder, 0, 5)
    return Snapshot(1, tuple(Registration(key) for key in keys), held, full=True)


def after(*looks: Snapshot, before: Witness | None = None) -> Witness:
    witness = before or Witness()
    for found in looks:
        witness = witness.after(OWN, {LU: found})
    return witness


def test_a_life_that_went_and_is_back() -> None:
    witness = after(shows(OWN, SECOND, THIRD), shows(OWN, THIRD))
    assert witness.returned(LU, shows(OWN, THIRD)) == []
    back = shows(OWN, SECOND, THIRD)
    assert witness.returned(LU, back) == [SECOND]
    assert after(back, before=witness).returned(LU, back) == [SECOND], "as long as it is there"
    assert witness.returned(OTHER_LU, back) == []


def test_a_new_life_is_none() -> None:
    later = Key.build(TAG, 2, 8)
    witness = after(shows(OWN, SECOND), shows(OWN, later))
    assert witness.returned(LU, shows(OWN, later)) == []


def test_an_absence_counts_only_where_this_node_stands() -> None:
    """Otherwise the LU may have been cleared, or be another cluster's by now."""
    for gone in (
        shows(),
        shows(OWN, holder=None),
        shows(THIRD, holder=THIRD),
        shows(OWN, FOREIGN, holder=FOREIGN),
    ):
        witness = after(shows(OWN, SECOND), gone)
        assert witness.returned(LU, shows(OWN, SECOND)) == []


def test_foreign_keys_and_own_ones_are_not_watched() -> None:
    witness = after(shows(OWN, FOREIGN, Key.build(TAG, 1, 6)), shows(OWN))
    assert witness.returned(LU, shows(OWN, FOREIGN, Key.build(TAG, 1, 6))) == []


def test_what_this_node_ended_itself_it_need_not_have_seen() -> None:
    witness = Witness().after(OWN, {LU: shows(OWN)}, {LU: [SECOND]})
    assert witness.returned(LU, shows(OWN, SECOND)) == [SECOND]


def test_the_latest_ended_lives_of_each_node_are_kept() -> None:
    lives = [Key.build(TAG, node, number) for node in (2, 3) for number in range(1, 21)]
    witness = Witness().after(OWN, {LU: shows(OWN)}, {LU: lives})
    kept = witness.sightings[LU].ended
    assert len(kept) == 2 * MAX_ENDED_PER_NODE
    assert min(key.incarnation for key in kept) == 21 - MAX_ENDED_PER_NODE


def test_an_old_look_ends_nobody_who_came_after_it() -> None:
    """Another process has noted a life that joined after this look was taken."""
    earlier = after(shows(OWN, THIRD))
    old_look = shows(OWN, THIRD)
    noted = after(shows(OWN, SECOND, THIRD), before=earlier)
    late = noted.after(OWN, {LU: old_look}, earlier=earlier)
    assert late.returned(LU, shows(OWN, SECOND, THIRD)) == []
    assert after(shows(OWN, THIRD), before=noted).returned(LU, shows(OWN, SECOND)) == [SECOND]
