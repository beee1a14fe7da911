"""The cluster's configuration, made and unmade as a person does it with Pacemaker's own tools."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from ..lab.guest import Result
from . import pacemaker
from .view import ONLINE_TIMEOUT_S, View

FENCE = "fence"
CLEANUP_TIMEOUT_S = 60


class Configuration(View):
    """Properties, resources, constraints, and the stonith device."""

    _stonith = ""

    def set_property(self, name: str, value: object, via: str | None = None) -> None:
        """Set a cluster property."""
        self._speaker(via).ok(f"crm_attribute --type crm_config --name {name} --update '{value}'")

    def create(self, scope: str, xml: str, via: str | None = None) -> None:
        """Add a piece of XML to a section of the configuration."""
        self._speaker(via).ok(f"cibadmin --create --scope {scope} --xml-pipe", stdin=xml)

    def delete(self, xml: str, via: str | None = None) -> Result:
        """Delete what a piece of XML (a tag with an id is enough) names."""
        return self._speaker(via).sh("cibadmin --delete --xml-pipe", stdin=xml)

    def configure_stonith(
        self,
        timeout: float = ONLINE_TIMEOUT_S,
        agent: str = pacemaker.AGENT,
        **parameters: object,
    ) -> None:
        """Configure our agent as the stonith device, and wait until every node has joined.

        `parameters` are those of the agent and of Pacemaker (`pcmk_...`); None leaves one out.
        """
        self.set_property("stonith-timeout", f"{pacemaker.STONITH_TIMEOUT_S}s")
        self.set_property("stonith-enabled", "true")
        given: dict[str, object] = {"devices": ",".join(self.devices()), **parameters}
        self._stonith = pacemaker.stonith(list(self.nodes), given, FENCE, agent)
        self.create("resources", self._stonith)
        self.await_joined(self.nodes, timeout)

    def replace_stonith(self, parameters: Mapping[str, object], monitor_s: int = 60) -> None:
        """Have another fence device in place of the usual one, until `clear`."""
        self.delete(f'<primitive id="{FENCE}"/>')
        device = pacemaker.stonith(list(self.nodes), parameters, FENCE, monitor_s=monitor_s)
        self.create("resources", device)
        self.await_joined(self.nodes)

    def create_on(self, node: str, name: str, xml: str) -> None:
        """Add a resource that may run on one node only, and never was anywhere else."""
        rules = "".join(
            pacemaker.prefers(name, other, "-INFINITY") for other in self.nodes if other != node
        )
        both = f"<resources>{xml}</resources><constraints>{rules}</constraints>"
        self._speaker(None).ok(
            "cibadmin --modify --allow-create --scope configuration --xml-pipe",
            stdin=f"<configuration>{both}</configuration>",
        )

    def clear(self) -> None:
        """Remove every resource but the fence device, every constraint, level and failure.

        The fence device is made again what `configure_stonith` had made it.
        """
        speaker = self._speaker(None)
        root = ElementTree.fromstring(speaker.ok("cibadmin --query"))
        for section in ("constraints", "fencing-topology", "resources"):
            for item in root.findall(f"./configuration/{section}/*"):
                if item.get("id") != FENCE:
                    self.delete(f'<{item.tag} id="{item.get("id")}"/>')
        device = root.find(f"./configuration/resources/primitive[@id='{FENCE}']")
        if self._stonith and device is None:
            self.create("resources", self._stonith)
        elif self._stonith and device is not None:
            wanted = ElementTree.fromstring(self._stonith)
            if pacemaker.values(device) != pacemaker.values(wanted):
                speaker.ok("cibadmin --replace --xml-pipe", stdin=self._stonith)
        if self.status().failures:
            speaker.ok("crm_resource --cleanup", timeout=CLEANUP_TIMEOUT_S)
