"""Items (folders, jobs) and credentials of a controller as documents, over python-jenkins."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

import jenkins

from mlops_steps.jenkins.session import Session, errors_in_words
from mlops_steps.jenkins.xml import from_text, to_text


def read_item(session: Session, name: str) -> Element | None:
    """The configuration of a folder or job, ``None`` if there is none of that name (or none that the user may see)."""
    return _read(f"reading {name}", lambda: session.get_job_config(name))


def write_item(session: Session, name: str, config: Element, *, create: bool) -> None:
    """Creates or changes a folder or job."""
    with errors_in_words(f"writing {name}"):
        if create:
            session.create_job(name, to_text(config))
        else:
            session.reconfig_job(name, to_text(config))


def read_credential(session: Session, folder: str, credential: str) -> Element | None:
    """The configuration of a credential in the folder's own store, its secret redacted; ``None`` if there is none."""
    return _read(f"reading {credential} of {folder}", lambda: session.get_credential_config(credential, folder))


def write_credential(session: Session, folder: str, config: Element, *, create: bool) -> None:
    """Creates or replaces a credential in the folder's own store."""
    with errors_in_words(f"writing {config.findtext('id')} of {folder}"):
        if create:
            session.create_credential(folder, to_text(config))
        else:
            session.reconfig_credential(folder, to_text(config))


def _read(what: str, ask: Callable[[], str]) -> Element | None:
    with errors_in_words(what):
        try:
            text = ask()
        except jenkins.NotFoundException:
            return None
    return from_text(text, what)
