"""A folder's configuration, and the library attached to it."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from mlops_steps.errors import ConfigError
from mlops_steps.jenkins.xml import Fields, carried, child, element

FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"

_LIBRARIES = "org.jenkinsci.plugins.workflow.libs.FolderLibraries"
_LIBRARY = "org.jenkinsci.plugins.workflow.libs.LibraryConfiguration"
_RETRIEVER = "org.jenkinsci.plugins.workflow.libs.SCMSourceRetriever"
_SOURCE = "jenkins.plugins.git.GitSCMSource"
# What a version may be: without the second, Jenkins finds a tag only after it has fetched everything.
_TRAITS = ("BranchDiscoveryTrait", "TagDiscoveryTrait")


@dataclass(frozen=True)
class Library:
    """A shared library in a Git repository. ``version`` is a branch, a tag or a commit."""

    name: str
    url: str
    version: str
    credentials: str = ""


def new_folder() -> Element:
    """The configuration of an empty folder."""
    folder = Element(FOLDER)
    folder.append(element("description"))
    folder.append(Element("properties"))
    return folder


def attach(folder: Element, library: Library) -> list[str]:
    """Attaches the library to the folder, or updates it there. Returns what changed, one line for each field.

    Other libraries and everything else in the folder stay as they are.
    """
    fields = Fields()
    config = _library(folder, library.name, fields)
    for name, value in (
        ("defaultVersion", library.version),
        ("implicit", "false"),
        ("allowVersionOverride", "true"),
        # The library's commits are not the changes of the team's project.
        ("includeInChangesets", "false"),
    ):
        fields.text(config, name, value)
    retriever = fields.kind(config, "retriever", _RETRIEVER)
    fields.text(retriever, "clone", "false")
    source = fields.kind(retriever, "scm", _SOURCE)
    fields.text(source, "remote", library.url)
    fields.text(source, "credentialsId", library.credentials)
    traits = child(source, "traits")
    for trait in _TRAITS:
        tag = f"jenkins.plugins.git.traits.{trait}"
        if traits.find(tag) is None:
            SubElement(traits, tag)
            fields.changes.append(f"traits: {trait} added")
    return fields.changes


def check_folder(folder: Element, what: str) -> None:
    """Raises :class:`ConfigError` if the item is not a folder."""
    if folder.tag != FOLDER:
        raise ConfigError(f"{what} exists and is not a folder (it is a {folder.tag.rpartition('.')[2]})")


def _library(folder: Element, name: str, fields: Fields) -> Element:
    libraries = child(child(child(folder, "properties"), _LIBRARIES), "libraries")
    for config in libraries.findall(_LIBRARY):
        if config.findtext("name") == name:
            return config
    fields.changes.append(f"library {name} added")
    config = SubElement(libraries, _LIBRARY)
    config.append(element("name", carried(name, "the library's name")))
    return config
