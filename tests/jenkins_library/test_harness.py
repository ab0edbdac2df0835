"""The harness is as strict as Jenkins: what would fail there, or work by accident, fails here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.jenkins_library.conftest import Build, Scenario, base_environment

PARSED = "new groovy.json.JsonSlurper().parseText('{\"a\": 1}')"

# The script, and what the error says.
REFUSED = {
    "an unknown step": ("node { shh 'true' }", "shh: no step that the harness knows"),
    "an unknown parameter": ("node { sh scrip: 'true' }", "sh: has no parameter scrip"),
    "a step without its agent": ("sh 'true'", "sh: needs an agent"),
    "a step without its body": ("timeout(time: 1)", "timeout: needs a body"),
    "a body too much": ("echo('x') { }", "echo: takes no body"),
    "a failing command": ("node { sh 'exit 3' }", "script returned exit code 3"),
    "a value that is not serializable": (f"def m = {PARSED}\necho 'x'", "the variable m of Jenkinsfile.run is kept"),
    "such a value within another": (f"Map m = [a: [{PARSED}]]\necho 'x'", "LazyMap is not serializable"),
    "such a value in a closure's parameter": (f"[{PARSED}].each {{ m -> echo 'x' }}", "LazyMap is not serializable"),
    "such a value of a loop": (f"for (m in [{PARSED}]) {{ echo 'x' }}", "LazyMap is not serializable"),
    "such a value assigned later": (f"def m\nm = {PARSED}\necho 'x'", "the variable m of Jenkinsfile.run is kept"),
    "a step in untransformed code": ("@NonCPS def f() { echo 'x' }\nf()", "@NonCPS code calls a step"),
    "transformed code in untransformed code": (
        "def g() { 1 }\n@NonCPS def f() { g() }\nf()",
        "@NonCPS code calls code that Jenkins transforms",
    ),
    "a closure that cannot pause": ('echo "${[2, 1].sort { a, b -> a <=> b }}"', "cannot pause in this closure"),
    "a class that the sandbox refuses": ("echo new File('/etc/passwd').name", "new java.io.File"),
    "a method that the sandbox refuses": ("'id'.execute()", "java.lang.String.execute"),
    "a static method that the sandbox refuses": ("System.exit(0)", "java.lang.System.exit"),
    "a variable of the script": ("x = 1", "declare it"),
    "a directive that is none": ("pipeline { agent any\n stagess { } }", "stagess: not known in root"),
    "a step outside of steps": (
        "pipeline { agent any\n stages { stage('a') { echo 'x' } } }",
        "echo: not known in stage",
    ),
    "an unknown option": ("pipeline { agent any\n options { ansiColor('x') } }", "ansiColor: no option"),
    "a pipeline without an agent": ("pipeline { stages { stage('a') { steps { echo 'x' } } } }", 'section "agent"'),
    "a report that is not there": ("node { junit 'no/*.xml' }", "No test report files were found"),
    "artifacts that are not there": ("node { archiveArtifacts 'no/*' }", "No artifacts found"),
    "a stash that is not there": ("node { unstash 'x' }", "No such saved stash"),
    "an unknown credential": (
        "node { withCredentials([string(credentialsId: 'no', variable: 'X')]) { sh 'true' } }",
        "Could not find credentials entry with ID 'no'",
    ),
    "a secret in a step's text": (
        "node { withCredentials([string(credentialsId: 'id', variable: 'X')]) { sh \"echo ${env.X}\" } }",
        "sh: a secret is part of its parameters",
    ),
    "a variable that is no text": ("withEnv([\"A=${1}\"]) { echo 'x' }", "withEnv: GStringImpl"),
    "a question nobody answers": ("input 'go on?'", "no answer"),
}

FINE = {
    "values, loops, closures": """
        List all = []
        for (String name in ['a', 'b']) { all << name }
        Map m = [:]
        all.each { m[it] = it + it }
        def f = { x -> x * 2 }
        echo "${m.a}${f(2)} ${all.collect { it + '!' }.join(',')}"
    """,
    "a value that is gone before the step": f"""
        int size() {{ def m = {PARSED}; return m.size() }}
        echo "${{size()}}"
    """,
    "untransformed code that computes": '@NonCPS int f() { [2, 1].findAll { it > 1 }.size() }\necho "${f()}"',
    "processes, files, folders": """
        node {
            writeFile(file: 'a/b.txt', text: 'é$HOME')
            dir('a') { echo "read ${readFile('b.txt')} ${sh(script: '''#!/bin/sh
                pwd''', returnStdout: true).trim()}" }
            stash(name: 's', includes: 'a/*.txt')
            archiveArtifacts 'a/*.txt'
        }
    """,
    "masks": """
        node { withCredentials([string(credentialsId: 'id', variable: 'X')]) { sh '''#!/bin/sh
            echo "key $X"''' } }
    """,
    "conditions, parameters, post": """
        pipeline {
            agent none
            parameters { booleanParam(name: 'A', defaultValue: true); string(name: 'B', defaultValue: 'b') }
            environment { WHERE = "${params.B}" }
            stages {
                stage('yes') { when { expression { params.A } }; steps { echo "in ${env.WHERE}" } }
                stage('no') { when { beforeAgent true; expression { !params.A } }; agent any; steps { echo 'never' } }
                stage('bad') { steps { unstable('so so') }; post { unstable { echo 'told' } } }
            }
            post { always { echo "ended ${currentBuild.currentResult}" }; success { echo 'never' } }
        }
    """,
}


#: Each branch has an agent, an environment and secrets of its own; one goes on while the other waits.
PARALLEL = """
void work(String name, String other) {
    node {
        withEnv(['NAME=' + name]) {
            withCredentials([string(credentialsId: 'id', variable: 'X')]) {
                sh "touch ../../../${name}; until [ -e ../../../${other} ]; do sleep 0.01; done"
                sh 'echo "[$NAME on $NODE_NAME]"'
            }
        }
    }
}
Map found = [:]
Map branches = [a: { work('a', 'b'); found['a'] = 1 }, b: { work('b', 'a'); found['b'] = 2; error('b failed') }]
try {
    parallel(branches)
} catch (failed) {
    echo "${found.keySet().size()} ended, ${failed.message}, NAME ${env.NAME}"
}
"""

FINE["branches side by side"] = PARALLEL


@pytest.fixture(scope="module")
def ran(
    builds: Callable[[Sequence[Scenario]], dict[str, Build]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Build]:
    folder = tmp_path_factory.mktemp("jobs")
    settings = {"env": base_environment(folder / "home"), "credentials": {"id": "s3cret-value"}}
    scripts = {name: script for name, (script, _) in REFUSED.items()} | FINE
    return builds(
        [
            Scenario(name, script, folder / str(number), settings)
            for number, (name, script) in enumerate(scripts.items())
        ]
    )


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses(ran: dict[str, Build], name: str) -> None:
    build = ran[name]
    assert build.result == "FAILURE", build.log
    assert REFUSED[name][1] in build.error


@pytest.mark.parametrize("name", FINE)
def test_it_lets_pass(ran: dict[str, Build], name: str) -> None:
    assert ran[name].result in ("SUCCESS", "UNSTABLE"), ran[name].log


def test_branches_run_side_by_side(ran: dict[str, Build]) -> None:
    log = ran["branches side by side"].log
    assert "2 ended, b failed, NAME null" in log
    assert "[a on agent-1]" in log
    assert "[b on agent-1]" in log


def test_values_loops_and_closures_are_computed_as_groovy_does(ran: dict[str, Build]) -> None:
    assert "aa4 a!,b!" in ran["values, loops, closures"].log


def test_processes_files_and_folders_are_real(ran: dict[str, Build]) -> None:
    build = ran["processes, files, folders"]
    assert "read é$HOME" in build.log
    assert "/agent-1/workspace/churn/a" in build.log
    assert build.artifacts == ["a/b.txt"]
    assert build.stashes == ["s"]


def test_secrets_are_masked_in_the_log(ran: dict[str, Build]) -> None:
    assert "key ****" in ran["masks"].log


def test_a_declarative_pipeline_runs_in_its_order(ran: dict[str, Build]) -> None:
    build = ran["conditions, parameters, post"]
    assert build.result == "UNSTABLE"
    assert build.statuses == {"yes": "SUCCESS", "no": "SKIPPED", "bad": "UNSTABLE"}
    log = [line for line in build.log.splitlines() if not line.startswith(("[Pipeline]", "Stage "))]
    assert log == ["in b", "WARNING: so so", "told", "ended UNSTABLE", "Finished: UNSTABLE"]


def test_a_secret_never_reaches_the_log_file(ran: dict[str, Build]) -> None:
    logs: list[Path] = list(ran["masks"].root.glob("log-*.txt"))
    assert logs
    assert all("s3cret-value" not in log.read_text() for log in logs)
