"""The table of all targets: a name, and what checks the property on bytes."""

from __future__ import annotations

from typing import Callable

from . import kernel, memories, procedures, replies, simulated, texts

Target = Callable[[bytes], None]

TARGETS: dict[str, Target] = {
    "sense": replies.sense,
    "completion": replies.completion,
    "inquiry": replies.inquiry,
    "vpd_pages": replies.vpd_pages,
    "vpd_83": replies.vpd_83,
    "read_keys": replies.read_keys,
    "read_reservation": replies.read_reservation,
    "full_status": replies.full_status,
    "transport_id": replies.transport_id,
    "capabilities": replies.capabilities,
    "key": texts.key,
    "cluster": texts.cluster,
    "corosync": texts.corosync,
    "stdin": texts.stdin,
    "arguments": texts.arguments,
    "drain": texts.drain,
    "devices": texts.devices,
    "patterns": texts.patterns,
    "vgs": texts.vgs,
    "ocf_environment": texts.ocf_environment,
    "mock_name": texts.mock_name,
    "state_file": memories.state_file,
    "sightings_file": memories.sightings_file,
    "volume_group_cache": memories.volume_group_cache,
    "mock_file": simulated.mock_file,
    "fault": simulated.fault,
    "device_tree": kernel.device_tree,
    "off": procedures.off,
    "on": procedures.on,
    "inspect": procedures.inspect,
}

# Those that run a whole procedure.
ACTIONS = ("off", "on", "inspect")
