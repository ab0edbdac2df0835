"""The XML that goes to a controller."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_steps.errors import ConfigError, NodeError
from mlops_steps.jenkins import credentials, folders, jobs
from mlops_steps.jenkins.credentials import SecretText
from mlops_steps.jenkins.folders import Library
from mlops_steps.jenkins.jobs import FromRepository, Inline
from mlops_steps.jenkins.xml import from_text, to_text

# All of Unicode, lone surrogates and control characters too; markup more often than chance brings it.
texts = st.text(st.one_of(st.characters(), st.sampled_from("<>&'\"]\r\n\t\x00\x01\x85\u2028\ufffe\ud800")), max_size=30)
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(text: str) -> ElementTree.Element:
    """As a reader that is not ours reads it, from the bytes that travel."""
    return ElementTree.fromstring(text.encode())


@given(texts)
def test_a_secret_arrives_as_it_was_or_is_refused_unseen(value: str) -> None:
    credential = SecretText("mlops-prod", "of prod", "MLOPS_PROD_API_KEY", value)
    if found := FORBIDDEN.search(value):
        with pytest.raises(ConfigError) as refusal:
            credentials.document(credential)
        assert str(refusal.value) == (
            "the value of credential mlops-prod (MLOPS_PROD_API_KEY) holds a character that XML cannot carry, "
            f"at position {found.start() + 1}"
        )
        return

    document = read(to_text(credentials.document(credential)))

    assert (document.findtext("secret") or "") == value
    assert [child.tag for child in document] == ["scope", "id", "description", "secret"]


@given(name=texts, url=texts, version=texts)
def test_a_library_arrives_as_it_was_and_then_nothing_is_to_change(name: str, url: str, version: str) -> None:
    library = Library(name, url, version)
    if FORBIDDEN.search(name + url + version):
        with pytest.raises(ConfigError, match="XML cannot carry"):
            folders.attach(folders.new_folder(), library)
        return
    folder = folders.new_folder()
    folders.attach(folder, library)

    back = from_text(to_text(folder), "folder x")

    found = read(to_text(folder)).find(".//org.jenkinsci.plugins.workflow.libs.LibraryConfiguration")
    assert found is not None
    assert (found.findtext("name") or "") == name
    assert (found.findtext("retriever/scm/remote") or "") == url
    assert (found.findtext("defaultVersion") or "") == version
    assert folders.attach(back, library) == []


@given(st.one_of(st.builds(Inline, texts), st.builds(FromRepository, texts, texts, texts, texts)))
def test_a_job_arrives_as_it_was_and_then_nothing_is_to_change(source: Inline | FromRepository) -> None:
    job = jobs.new_job()
    if FORBIDDEN.search("".join(vars(source).values())):
        with pytest.raises(ConfigError, match="XML cannot carry"):
            jobs.define(job, source, "job x")
        return
    jobs.define(job, source, "job x")

    assert jobs.define(from_text(to_text(job), "job x"), source, "job x") == []


@given(texts)
def test_any_text_is_read_as_a_configuration_or_refused_in_a_line(text: str) -> None:
    told = "folder x: its configuration cannot be read as XML"
    try:
        from_text(text, "folder x")
    except NodeError as error:
        told = error.message
    assert told.startswith("folder x: its configuration cannot be read as XML")


def test_a_document_with_entities_is_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'

    with pytest.raises(NodeError, match="cannot be read as XML"):
        from_text(bomb, "folder x")


def test_branches_are_named_as_jenkins_own_form_names_them() -> None:
    for branch, spec in (("main", "*/main"), ("rel/1", "*/rel/1"), ("refs/tags/v1", "refs/tags/v1"), ("*/x", "*/x")):
        job = jobs.new_job()
        jobs.define(job, FromRepository("https://git/x", branch), "job x")
        assert job.findtext(".//hudson.plugins.git.BranchSpec/name") == spec
