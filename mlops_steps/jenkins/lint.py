"""Is a Jenkinsfile well-formed? Asked of the controller's own validator, or of Groovy on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import jenkins

from mlops_steps.errors import CheckFailed, ConfigError, ControllerError, NodeError
from mlops_steps.jenkins.session import Session, errors_in_words
from mlops_steps.system.text import clean

# Starting a virtual machine for Java and parsing one file.
_GROOVY_LIMIT = 120.0

# Parses standard input and says what is wrong; resolves no names, as only Jenkins knows the steps.
_PARSE = """
def out = new PrintStream(System.out, true, 'UTF-8')
def unit = new org.codehaus.groovy.control.CompilationUnit()
unit.addSource('Jenkinsfile', System.in.getText('UTF-8'))
out.println 'Groovy ' + GroovySystem.version
try {
    unit.compile(org.codehaus.groovy.control.Phases.CONVERSION)
} catch (org.codehaus.groovy.control.CompilationFailedException failure) {
    unit.errorCollector.errors.each { out.println(it.hasProperty('cause') ? it.cause.message : it.message) }
    System.exit(9)
}
"""
_MALFORMED = 9

_NO_PIPELINE_BLOCK = "did not contain the 'pipeline' step"


def by_controller(session: Session, file: Path) -> str:
    """What the controller's validator of declarative pipelines says, in a line, when it finds nothing wrong.

    It does not know which steps exist. Raises :class:`CheckFailed` with its findings, :class:`ControllerError`.
    """
    text = read_jenkinsfile(file)
    with errors_in_words("the validator"):
        try:
            errors = session.check_jenkinsfile_syntax(text)
        except jenkins.NotFoundException:
            raise ControllerError(
                f"{session.access.url} has no validator: plugin pipeline-model-definition is missing or not active",
                status=404,
            ) from None
        findings = [message for error in errors for message in _messages(error)]
    if not errors:
        return f"{file}: nothing wrong, says Jenkins {session.version}"
    if len(findings) == 1 and findings[0].endswith(_NO_PIPELINE_BLOCK):
        # Such as mlopsPipeline(…): the block comes from the library. It was compiled before it was looked for.
        return (
            f"{file}: Groovy, without a pipeline block of its own; Jenkins {session.version} checks nothing more of it"
        )
    raise _failed(file, f"Jenkins {session.version}", findings or ["the validator gives no reason"])


def by_groovy(file: Path) -> str:
    """What the installed Groovy says, in a line, when the file parses. It knows neither steps nor sections.

    Raises :class:`CheckFailed` with what is wrong, :class:`ConfigError` when there is no Groovy.
    """
    text = read_jenkinsfile(file)
    groovy = shutil.which("groovy")
    if groovy is None:
        raise ConfigError(
            f"{file} was not checked: neither a Jenkins controller nor Groovy is at hand",
            next_step="set JENKINS_URL, JENKINS_USER and JENKINS_API_TOKEN, or install Groovy 2.4 (Debian: groovy)",
        )
    try:
        done = subprocess.run(
            [groovy, "-e", _PARSE],
            input=text.encode(),
            capture_output=True,
            env=_environment(),
            timeout=_GROOVY_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeError(f"{file} was not checked: {groovy} could not be run: {error}") from None
    version, *findings = clean(done.stdout.decode("utf-8", "replace")).strip().splitlines() or [""]
    if done.returncode == 0 and version.startswith("Groovy"):
        return f"{file}: parses, says {version}; steps and sections were not checked"
    if done.returncode == _MALFORMED:
        raise _failed(file, version, findings)
    lines = clean(done.stderr.decode("utf-8", "replace")).strip().splitlines()
    raise NodeError(f"{file} was not checked: {groovy} does not work here", details=lines[:10])


def read_jenkinsfile(file: Path) -> str:
    """The text of the file. Raises :class:`ConfigError` when it cannot be read."""
    try:
        return file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a text file in UTF-8"
        raise ConfigError(f"{file} cannot be read: {reason}") from None


def _messages(error: dict[str, object]) -> list[str]:
    found = error.get("error") or []
    return [str(message) for message in found] if isinstance(found, list) else [str(found)]


def _failed(file: Path, who: str, findings: list[str]) -> CheckFailed:
    details = [line for finding in findings for line in clean(finding).splitlines() if line.strip()]
    return CheckFailed(
        f"{file}: {who} finds {'an error' if len(findings) == 1 else f'{len(findings)} errors'}", details=details
    )


def _environment() -> dict[str, str]:
    """What Groovy's start script needs, and nothing that is secret."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "JAVA_HOME") if name in os.environ}
    java = shutil.which("java")
    if "JAVA_HOME" not in environment and java:
        environment["JAVA_HOME"] = str(Path(java).resolve().parent.parent)
    return environment
