"""The XML metadata of fence agent and resource agent, from the table of parameters.

The forms are fence-agents' (its metadata.rng) and OCF's (ra-api-1.dtd);
Pacemaker, pcs and crmsh read them.  The only module that imports lxml.
"""

from __future__ import annotations

from ..errors import InvalidInput
from .manual import DESCRIPTION, OCF_DESCRIPTION, OCF_SUMMARY, SUMMARY
from .parameters import (
    ACTIONS,
    BOOLEAN,
    BY_NAME,
    INTEGER,
    OCF_ACTION_SECONDS,
    OCF_MONITOR_INTERVAL_SECONDS,
    OCF_PARAMETERS,
    PARAMETERS,
    SECOND,
    SELECT,
    STRING,
    Parameter,
)

OCF_VERSION = "1.0"
# Without an encoding: crmsh 4.4 refuses a document that declares one.
OCF_HEAD = '<?xml version="1.0"?>\n<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">\n'
# ra-api-1.dtd knows neither seconds nor selections.
OCF_TYPES = {STRING: "string", SELECT: "string", SECOND: "integer", INTEGER: "integer",
             BOOLEAN: "boolean"}  # fmt: skip


def metadata() -> str:
    """The XML document, as text.  InvalidInput where lxml is missing."""
    etree = _lxml()
    root = etree.Element("resource-agent", name="fence_prbarrier", shortdesc=SUMMARY)
    etree.SubElement(root, "longdesc").text = "\n\n".join(DESCRIPTION)
    etree.SubElement(root, "vendor-url").text = ""
    parameters = etree.SubElement(root, "parameters")
    for parameter in PARAMETERS:
        if not parameter.people:
            _add(etree, parameters, parameter)
    actions = etree.SubElement(root, "actions")
    for action in ACTIONS:
        if action.people:
            continue
        entry = etree.SubElement(actions, "action", name=action.name)
        if action.on_target:
            entry.set("on_target", "1")
        if action.automatic:
            entry.set("automatic", "1")
    text: bytes = etree.tostring(root, pretty_print=True, xml_declaration=True, encoding="utf-8")
    return text.decode()


def resource_metadata() -> str:
    """The resource agent's XML document, as text.  InvalidInput where lxml is missing."""
    etree = _lxml()
    root = etree.Element("resource-agent", name="prbarrier")
    etree.SubElement(root, "version").text = OCF_VERSION
    etree.SubElement(root, "longdesc", lang="en").text = "\n\n".join(OCF_DESCRIPTION)
    etree.SubElement(root, "shortdesc", lang="en").text = OCF_SUMMARY
    parameters = etree.SubElement(root, "parameters")
    for name in OCF_PARAMETERS:
        parameter = BY_NAME[name]
        entry = etree.SubElement(parameters, "parameter", name=name, unique="0", required="0")
        etree.SubElement(entry, "longdesc", lang="en").text = parameter.text
        etree.SubElement(entry, "shortdesc", lang="en").text = name.replace("_", " ")
        content = etree.SubElement(entry, "content", type=OCF_TYPES[parameter.kind])
        if parameter.default:
            content.set("default", parameter.default)
    actions = etree.SubElement(root, "actions")
    for name, seconds in OCF_ACTION_SECONDS.items():
        entry = etree.SubElement(actions, "action", name=name, timeout=f"{seconds}s")
        if name == "monitor":
            entry.set("interval", f"{OCF_MONITOR_INTERVAL_SECONDS}s")
            entry.set("depth", "0")
    text: bytes = etree.tostring(root, pretty_print=True, encoding="us-ascii")
    return OCF_HEAD + text.decode()


def _lxml() -> Any:
    """lxml.etree, from site-packages too where the interpreter began without them (-S)."""
    import site
    from importlib import import_module

    try:
        return import_module("lxml.etree")
    except ImportError:
        site.main()
    try:
        return import_module("lxml.etree")
    except ImportError:
        raise InvalidInput(
            "metadata needs the Python package lxml (Debian: apt-get install python3-lxml);"
            " no other action does"
        ) from None


def _add(etree: Any, parent: Any, parameter: Parameter) -> None:
    """One <parameter>; booleans are "0" and "1", and only set attributes are written."""
    entry = etree.SubElement(
        parent,
        "parameter",
        name=parameter.name,
        unique="0",
        required="1" if parameter.required else "0",
    )
    if parameter.deprecated:
        entry.set("deprecated", "1")
    if parameter.obsoletes:
        entry.set("obsoletes", parameter.obsoletes)
    etree.SubElement(entry, "getopt", mixed=_mixed(parameter))
    content = etree.SubElement(entry, "content", type=parameter.kind)
    if parameter.default and not (parameter.kind == BOOLEAN and parameter.default == "0"):
        content.set("default", parameter.default)
    if parameter.kind == SELECT:
        for choice in parameter.choices:
            etree.SubElement(content, "option", value=choice)
    etree.SubElement(entry, "shortdesc", lang="en").text = parameter.text


def _mixed(parameter: Parameter) -> str:
    short = f"-{parameter.short}, " if parameter.short else ""
    argument = f"=[{parameter.argument}]" if parameter.argument else ""
    return f"{short}--{parameter.long}{argument}"


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
