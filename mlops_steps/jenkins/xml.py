"""The XML in which a controller takes and gives configuration: built, read, compared field by field.

What is there is changed in place, field by field: a folder may hold other libraries, and a pipeline that ran has
written its parameters and options into its job. None of that may get lost, and the second time nothing is to change.
"""

from __future__ import annotations

import re

# Builds documents only; what is read goes through defusedxml.
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from mlops_steps.errors import ConfigError, NodeError
from mlops_steps.system.text import NOT_XML

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def carried(text: str, what: str) -> str:
    """The text, if XML can carry it. Raises :class:`ConfigError` with the place of what it cannot, never the text."""
    if found := NOT_XML.search(text):
        raise ConfigError(f"{what} holds a character that XML cannot carry, at position {found.start() + 1}")
    return text


def to_text(root: Element) -> str:
    """The document as text. Every character that :func:`carried` lets pass is read back as it was."""
    text: str = ElementTree.tostring(root, encoding="unicode")
    # A reader takes a bare carriage return for a line end; ElementTree writes it bare in texts (not in attributes).
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text.replace("\r", "&#13;")


def from_text(text: str, what: str) -> Element:
    """Reads a configuration. Jenkins says that it is XML 1.1; it is read as 1.0, of which it all but is."""
    try:
        root: Element = defusedxml.ElementTree.fromstring(_DECLARATION.sub("", text, count=1))
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise NodeError(f"{what}: its configuration cannot be read as XML: {error}") from None
    return root


def element(tag: str, text: str = "", **attributes: str) -> Element:
    """An element with a text; ``class_`` stands for the attribute ``class``."""
    made = Element(tag, {name.rstrip("_"): carried(value, tag) for name, value in attributes.items()})
    made.text = carried(text, tag) or None
    return made


def child(parent: Element, tag: str) -> Element:
    """The first child of that tag, which is made if it is missing."""
    found = parent.find(tag)
    return SubElement(parent, tag) if found is None else found


def shown(text: str | None) -> str:
    """A value in a line of a plan."""
    text = (text or "").strip()
    if "\n" in text:
        return f"({len(text.splitlines())} lines)"
    return text if len(text) <= 80 else text[:79] + "…"


class Fields:
    """Sets fields of a document and notes each that had another value."""

    def __init__(self) -> None:
        self.changes: list[str] = []

    def text(self, parent: Element, tag: str, wanted: str, name: str = "") -> None:
        """Sets the text of a child. An empty text and none at all are the same to Jenkins."""
        found = parent.find(tag)
        actual = "" if found is None else found.text or ""
        carried(wanted, name or tag)
        if actual == wanted:
            return
        target = child(parent, tag)
        target.text = wanted
        self.changes.append(f"{name or tag}: {shown(actual) or '(none)'} → {shown(wanted) or '(none)'}")

    def kind(self, parent: Element, tag: str, wanted: str, name: str = "") -> Element:
        """The child of that tag and Java class; one of another class is replaced by an empty one."""
        found = parent.find(tag)
        if found is not None and found.get("class") == wanted:
            return found
        actual = "(none)" if found is None else _short(found.get("class") or "?")
        self.changes.append(f"{name or tag}: {actual} → {_short(wanted)}")
        made = Element(tag, {"class": wanted})
        if found is None:
            parent.append(made)
        else:
            parent[list(parent).index(found)] = made
        return made


def _short(java_class: str) -> str:
    return java_class.rpartition(".")[2]
