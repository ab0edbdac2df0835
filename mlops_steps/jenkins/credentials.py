"""A Secret text in a folder's store. Its value goes in and never comes out: Jenkins redacts it when it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from mlops_steps.errors import ConfigError
from mlops_steps.jenkins.xml import carried, element

SECRET_TEXT = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"  # noqa: S105 - a Java class


@dataclass(frozen=True)
class SecretText:
    """A credential to be. ``variable`` is where the value comes from; ``None`` stands for a value that is not there."""

    id: str
    description: str
    variable: str
    value: str | None = field(repr=False)


def id_of(node: str) -> str:
    """The id by convention: ``mlops-design``."""
    return f"mlops-{node}"


def document(credential: SecretText) -> Element:
    """The configuration with which the credential is created or replaced.

    Raises :class:`ConfigError` when XML cannot carry the value; the message does not hold the value.
    """
    value = carried(credential.value or "", f"the value of credential {credential.id} ({credential.variable})")
    root = Element(SECRET_TEXT)
    root.append(element("scope", "GLOBAL"))
    root.append(element("id", credential.id))
    root.append(element("description", credential.description))
    root.append(element("secret", value))
    return root


def check_kind(found: Element, what: str) -> None:
    """Raises :class:`ConfigError` if a credential of another kind has the id."""
    if found.tag != SECRET_TEXT:
        kind = found.tag.rpartition(".")[2].removesuffix("Impl")
        raise ConfigError(f"{what} exists and is not a Secret text (it is a {kind}); remove or rename it in Jenkins")
