"""Settings of the target that an operator may change, as far as they bear on a drain."""

from __future__ import annotations

from typing import Callable

from .ground import Ground

TPG = "/sys/kernel/config/target/iscsi/iqn.2020-01.org.example:san/tpgt_1"
STORE = "/sys/kernel/config/target/core/iblock_0/disk0"
# Not while the LU is exported.
TAS = """
set -e
cd {tpg}
for mapped in acls/*/lun_0; do rm $mapped/unit; rmdir $mapped; done
rm lun/lun_0/backstore
echo 0 >{store}/attrib/emulate_tas
ln -s {store} lun/lun_0/backstore
for acl in acls/*; do mkdir $acl/lun_0; ln -s {tpg}/lun/lun_0 $acl/lun_0/unit; done
"""
NOPIN = """
set -e
for acl in {tpg}/acls/*; do
    echo 3 >$acl/attrib/nopin_response_timeout
    echo 3 >$acl/attrib/nopin_timeout
done
"""
# Before the table of the delayed device is loaded again, which takes it over.
NO_CACHE = "echo 'write through' >/sys/block/loop0/queue/write_cache"


def _run(script: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        ground.storage.ok(script.format(tpg=TPG, store=STORE))

    return run


def nothing(ground: Ground) -> None:
    """As it is."""


SETTINGS: dict[str, Callable[[Ground], None]] = {
    "as it is": nothing,
    "emulate_tas=0": _run(TAS),
    "nopin_timeout=3, nopin_response_timeout=3": _run(NOPIN),
    "a store without a write cache": _run(NO_CACHE),
}
WAYS = ("off, drain=auto", "PREEMPT, reset", "PREEMPT AND ABORT")
