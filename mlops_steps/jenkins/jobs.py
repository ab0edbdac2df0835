"""The configuration of a pipeline job: its Jenkinsfile from a repository, or written into the job."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from mlops_steps.errors import ConfigError
from mlops_steps.jenkins.xml import Fields, child, element

JOB = "flow-definition"

_FROM_SCM = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
_INLINE = "org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"
_GIT = "hudson.plugins.git.GitSCM"
_REMOTE = "hudson.plugins.git.UserRemoteConfig"
_BRANCH = "hudson.plugins.git.BranchSpec"


@dataclass(frozen=True)
class FromRepository:
    """The Jenkinsfile lies in a Git repository."""

    url: str
    branch: str = "main"
    script_path: str = "Jenkinsfile"
    credentials: str = ""


@dataclass(frozen=True)
class Inline:
    """The Jenkinsfile is written into the job."""

    script: str


def new_job() -> Element:
    """The configuration of a pipeline job without a pipeline."""
    job = Element(JOB)
    job.append(element("description"))
    job.append(Element("properties"))
    return job


def define(job: Element, source: FromRepository | Inline, what: str) -> list[str]:
    """Makes the job run that Jenkinsfile. Returns what changed, one line for each field.

    Parameters, options and all else that a build or a person wrote into the job stay. Raises :class:`ConfigError` if
    the item is not a pipeline job.
    """
    if job.tag != JOB:
        raise ConfigError(f"{what} exists and is not a pipeline job (it is a {job.tag.rpartition('.')[2]})")
    fields = Fields()
    if isinstance(source, Inline):
        definition = fields.kind(job, "definition", _INLINE)
        fields.text(definition, "script", source.script, "Jenkinsfile")
        fields.text(definition, "sandbox", "true")
    else:
        definition = fields.kind(job, "definition", _FROM_SCM)
        _from_repository(definition, source, fields)
    return fields.changes


def _from_repository(definition: Element, source: FromRepository, fields: Fields) -> None:
    scm = fields.kind(definition, "scm", _GIT)
    if scm.find("configVersion") is None:
        scm.append(element("configVersion", "2"))
        scm.append(element("doGenerateSubmoduleConfigurations", "false"))
        scm.append(element("submoduleCfg", class_="empty-list"))
        scm.append(element("extensions"))
    remote = child(child(scm, "userRemoteConfigs"), _REMOTE)
    fields.text(remote, "url", source.url, "repository")
    fields.text(remote, "credentialsId", source.credentials)
    fields.text(child(child(scm, "branches"), _BRANCH), "name", _branch_spec(source.branch), "branch")
    fields.text(definition, "scriptPath", source.script_path)
    fields.text(definition, "lightweight", "true")


def _branch_spec(branch: str) -> str:
    """A plain branch name as Jenkins' own form writes it; what says more than a name is left alone."""
    return branch if branch.startswith(("refs/", "*", ":", "$")) else f"*/{branch}"
