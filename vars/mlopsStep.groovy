import groovy.json.JsonOutput

/*
 * The one step under all others. It carries parameters to a command of mlops-steps and brings back what came of it;
 * every decision is made in Python. Of the Map that `told` returns the documented keys are exit, verdict, bundle and
 * description.
 */

/** The version of this library; mlops-steps on the agent has to be of the same one. */
String version() {
    return '0.1.0'
}

/** Runs a command with the parameters of a step, publishes what it found, and ends as it ended. */
Map call(String command, Map parameters) {
    String request = JsonOutput.toJson([step: command, library: version(), parameters: parameters])
    Map ended = [:]
    List variables = ['MLOPS_STEP=' + request]
    if (command == 'release') {
        variables << 'MLOPS_APPROVAL=' + mlopsApprove.given()
    }
    withEnv(variables) {
        Map plan = ask('plan', command)
        if (plan.exit == '127') {
            error('mlops-steps is not on this agent: call mlopsSetup() before the first step')
        }
        if (plan.unstash) {
            bringBack()
        }
        try {
            withCredentials(keys(plan, parameters)) {
                ended = runToItsEnd(command)
            }
        } catch (missing) {
            if (missing.class.simpleName != 'CredentialNotFoundException') {
                throw missing
            }
            // The command says so, in its report too, and does nothing.
            withEnv(['MLOPS_MISSING=' + missing.message]) {
                ended = ask('run', command)
            }
        }
    }
    publish(ended)
    judge(command, parameters, ended)
    return ended
}

/**
 * Runs a constant script that prints lines name=value, and returns them with the exit code as `exit`.
 *
 * The script must not hold any value: values travel in the environment.
 */
Map told(String script, String label) {
    Map found = [:]
    // Python writes UTF-8, whatever the agent's own encoding is.
    String output = sh(label: label, returnStdout: true, encoding: 'UTF-8', script: script)
    for (String line in output.readLines()) {
        int equals = line.indexOf('=')
        if (equals > 0) {
            found[line.substring(0, equals)] = line.substring(equals + 1)
        }
    }
    return found
}

private Map ask(String what, String command) {
    Map found = [:]
    withEnv(['MLOPS_DO=' + what]) {
        // Without the first line Jenkins would trace each command with its variables into the log.
        found = told('''#!/bin/sh
            PATH="${WORKSPACE_TMP:-$WORKSPACE@tmp}/mlops-steps/bin:$PATH"
            export PATH
            mlops-steps from-environment "$MLOPS_DO"
            echo "exit=$?"
        ''', "mlops-steps ${command}: ${what}")
    }
    return found
}

private Map runToItsEnd(String command) {
    try {
        Map ended = ask('run', command)
        if (!ended.verdict) {
            error("mlops-steps ${command} was cut off, exit code ${ended.exit}")
        }
        return ended
    } catch (cut) {
        // Aborted, out of time, or the agent is gone. Jenkins waits 20 s for a step that it has stopped; a restore may
        // take longer, so another one sees to it.
        publish(recover(command))
        throw cut
    }
}

private Map recover(String command) {
    try {
        return ask('recover', command)
    } catch (again) {
        // A timeout block cuts off what its body still does 60 s after it has fired, once.
        echo("mlops-steps ${command}: cut off once more; waiting for the restore to end")
        return ask('recover', command)
    }
}

/** The release record and the reports of the earlier steps, which may have run on another agent. */
private void bringBack() {
    try {
        unstash('mlops-steps')
    } catch (none) {
        if (none.class.simpleName != 'AbortException') {
            throw none
        }
        echo("nothing from an earlier step of this build: ${none.message}")
    }
}

private List keys(Map plan, Map parameters) {
    List bindings = []
    if (plan.keys && parameters.credentials != false) {
        for (String key in plan.keys.split(',')) {
            String node = key.split(' ')[0]
            String id = parameters.credentials?.get(node) ?: 'mlops-' + node
            bindings << string(credentialsId: id, variable: key.split(' ')[1])
        }
    }
    return bindings
}

private void publish(Map ended) {
    if (ended.description) {
        currentBuild.description = ended.description
    }
    if (ended.automation) {
        env.MLOPS_AUTOMATION = ended.automation
        env.MLOPS_RELEASE_STAGE = ended.releaseStage ?: ''
        env.MLOPS_TEST_STAGES = ended.testStages ?: ''
        env.MLOPS_OPTIONS = ended.options ?: ''
    }
    if (ended.asked) {
        env.MLOPS_ASKED = ended.asked
        env.MLOPS_BUNDLE = ended.bundle
        env.MLOPS_QUESTION = ended.question
        env.MLOPS_DETAILS = ended.details
    }
    if (ended.reports) {
        env.MLOPS_REPORTS = ended.reports
    }
    if (ended.record) {
        env.MLOPS_RECORD = ended.record
    }
    if (ended.stash) {
        stash(name: 'mlops-steps', includes: ended.stash)
    }
    if (ended.archive) {
        archiveArtifacts(artifacts: ended.archive)
    }
    if (ended.report) {
        junit(testResults: ended.report, keepLongStdio: true, allowEmptyResults: false)
    }
}

private void judge(String command, Map parameters, Map ended) {
    String said = "mlops-steps ${command}: ${ended.verdict}"
    if (ended.exit == '0') {
        return
    }
    if (ended.exit == '1' && parameters.failing == 'unstable') {
        unstable(said)
    } else {
        error(said)
    }
}
