"""Onboarding: a folder with the library attached, the credentials, the pipeline job; planned first, then made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from mlops_steps.errors import ConfigError
from mlops_steps.jenkins import credentials, folders, jobs
from mlops_steps.jenkins.credentials import SecretText
from mlops_steps.jenkins.folders import Library
from mlops_steps.jenkins.items import read_credential, read_item, write_credential, write_item
from mlops_steps.jenkins.jobs import FromRepository, Inline
from mlops_steps.jenkins.session import Session


@dataclass(frozen=True)
class Wanted:
    """What is to be there. ``folder`` is a full name, ``job`` the name of the pipeline job in it."""

    folder: str
    library: Library | None = None
    credentials: Sequence[SecretText] = ()
    update_credentials: bool = False
    job: str | None = None
    source: FromRepository | Inline | None = None


@dataclass(frozen=True)
class Change:
    """Something to be made: of what, field by field, and how."""

    kind: Literal["create", "update"]
    what: str
    fields: tuple[str, ...]
    apply: Callable[[], None] = field(repr=False)

    def __str__(self) -> str:
        return "\n".join([f"{self.kind} {self.what}", *(f"    {line}" for line in self.fields)])


@dataclass
class Plan:
    """The changes in the order in which they are to be made, and what stays."""

    changes: list[Change] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def add(self, what: str, *, new: bool, fields: Sequence[str], apply: Callable[[], None]) -> None:
        """Adds a change, or notes that there is none."""
        if new or fields:
            self.changes.append(Change("create" if new else "update", what, tuple(fields), apply))
        else:
            self.kept.append(f"{what}: as wanted")


def plan(session: Session, wanted: Wanted) -> Plan:
    """Compares what is there with what is wanted; changes nothing.

    Raises :class:`ConfigError` when an item of another kind is in the way or the value of a credential is missing,
    :class:`ControllerError` when the controller refuses or cannot be reached.
    """
    result = Plan()
    folder_is_new = _plan_folders(session, wanted, result)
    _plan_credentials(session, wanted, result, folder_is_new)
    if wanted.job and wanted.source:
        _plan_job(session, f"{wanted.folder}/{wanted.job}", wanted.source, result, folder_is_new)
    return result


def _plan_folders(session: Session, wanted: Wanted, result: Plan) -> bool:
    """Plans the folder and those it lies in; returns whether the folder is new."""
    names = wanted.folder.split("/")
    new = False
    for depth in range(1, len(names) + 1):
        name = "/".join(names[:depth])
        found = None if new else read_item(session, name)
        new = found is None
        config = folders.new_folder() if found is None else found
        folders.check_folder(config, f"folder {name}")
        fields = []
        if wanted.library and depth == len(names):
            fields = folders.attach(config, wanted.library)
        result.add(
            f"folder {name}", new=new, fields=fields, apply=partial(write_item, session, name, config, create=new)
        )
    return new


def _plan_credentials(session: Session, wanted: Wanted, result: Plan, folder_is_new: bool) -> None:
    missing = []
    for credential in wanted.credentials:
        what = f"credential {credential.id}"
        found = None if folder_is_new else read_credential(session, wanted.folder, credential.id)
        if found is not None:
            credentials.check_kind(found, f"{what} in {wanted.folder}")
            if not wanted.update_credentials:
                result.kept.append(f"{what}: there; its value cannot be compared (--update-credentials overwrites it)")
                continue
        if credential.value is None:
            missing.append(credential.variable)
            continue
        config, new = credentials.document(credential), found is None
        write = partial(write_credential, session, wanted.folder, config, create=new)
        result.add(what, new=new, fields=[f"value from {credential.variable}"], apply=write)
    if missing:
        raise ConfigError(
            f"no value for a credential that is to be written: set {', '.join(missing)}",
            next_step="or leave the credentials alone with --no-credentials",
        )


def _plan_job(session: Session, name: str, source: FromRepository | Inline, result: Plan, folder_is_new: bool) -> None:
    found = None if folder_is_new else read_item(session, name)
    new = found is None
    config = jobs.new_job() if found is None else found
    fields = jobs.define(config, source, f"job {name}")
    result.add(f"job {name}", new=new, fields=fields, apply=partial(write_item, session, name, config, create=new))
