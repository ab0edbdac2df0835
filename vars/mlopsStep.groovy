import groovy.json.JsonOutput

/*
 * The one step under all others. It carries parameters to a command of mlops-steps and brings back what came of it;
 * every decision is made in Python. Of the Map that `call` returns the documented keys are exit, verdict, bundle and
 * description.
 *
 * A file in vars/ has no fields of its own: Jenkins makes an instance of it for each file that uses it. What one step
 * has to know of another one is in `env`, which "Restart from Stage" copies to another build.
 */

/** What is read once in a build, and once more after a restart of the controller. */
class MlopsOnce implements Serializable {

    private static final long serialVersionUID = 1

    static String policy

}

/** The version of this library; mlops-steps on the agent has to be of the same one. */
String version() {
    return '0.1.0'
}

/** Runs a command with the parameters of a step, publishes what it found, and ends as it ended. */
Map call(String command, Map parameters) {
    Map ended = attempt(command, parameters)
    judge(command, parameters, ended)
    return ended
}

/** The same, but a failure is told by `exit` and `verdict` alone. Throws when it was interrupted. */
Map attempt(String command, Map parameters) {
    String request = JsonOutput.toJson([step: command, library: version(), parameters: parameters])
    List variables = ['MLOPS_STEP=' + request, 'MLOPS_STARTED_BY=' + starters(),
                      'MLOPS_LIBRARY_POLICY=' + policy()]
    Map ended = [:]
    withEnv(variables) {
        Map plan = ask('plan', command)
        if (plan.exit == '127') {
            error('mlops-steps is not on this agent: call mlopsSetup() before the first step')
        }
        bringBack(plan)
        try {
            withKeys(keys(plan, parameters)) {
                ended = runToEnd(command, parameters, noteFirst(plan, command))
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
    return ended
}

/** Reads mlops.yml for a pipeline, before its first step: what there is to release, and to which stages. */
void look(Map parameters) {
    Map known = [config: parameters.config, project: parameters.project]
    String request = JsonOutput.toJson([step: 'doctor', library: version(), parameters: known])
    withEnv(['MLOPS_STEP=' + request, 'MLOPS_LIBRARY_POLICY=' + policy()]) {
        configured(ask('look', 'pipeline'))
    }
}

/**
 * Runs a constant script that prints lines name=value, and returns them with the exit code as `exit`.
 *
 * The script must not hold any value: values travel in the environment.
 */
Map lines(String script, String label) {
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

/** Whether the build was aborted, or its time is over. */
boolean isInterruption(Object thrown) {
    return thrown.class.simpleName == 'FlowInterruptedException'
}

/** Publishes what a command has left: reports, artifacts, the stash for the next steps, the description. */
void publish(Map ended) {
    if (ended.description) {
        describe(ended.description)
    }
    configured(ended)
    if (ended.asked) {
        env.MLOPS_ASKED = ended.asked
        env.MLOPS_BUNDLE = ended.bundle
        env.MLOPS_SUBJECT = ended.subject
        env.MLOPS_QUESTION = ended.question
        env.MLOPS_DETAILS = ended.details
    }
    if (ended.live) {
        env.MLOPS_LIVE = ended.live
    }
    if (ended.reports) {
        env.MLOPS_REPORTS = without(env.MLOPS_REPORTS, ended.reports) + ended.reports
    }
    if (ended.record) {
        env.MLOPS_RECORD = ended.record
    }
    if (ended.stash) {
        stash(name: ended.stashName, includes: ended.stash)
        // Read only now: a parallel stage may have added its own.
        env.MLOPS_STASHES = without(env.MLOPS_STASHES, ended.stashReplaces) + ended.stashName
    }
    if (ended.archive) {
        archiveArtifacts(artifacts: ended.archive)
    }
    if (ended.report) {
        // The checks of a Git server would show the results of the last step alone.
        junit(testResults: ended.report, keepLongStdio: true, allowEmptyResults: false, skipPublishingChecks: true)
    }
}

/** Not in `env`, which a Jenkinsfile may set. */
private String policy() {
    MlopsOnce.policy = MlopsOnce.policy ?: libraryResource('mlops-steps/policy.yml')
    return MlopsOnce.policy
}

/** Why this build was started, and the users that Jenkins names for it. What that means is decided in Python. */
private String starters() {
    List found = []
    for (Map cause in currentBuild.getBuildCauses()) {
        found << [kind: "${cause._class}", user: "${cause.userId ?: ''}"]
    }
    return JsonOutput.toJson([causes: found])
}

/** `what` is a word of this file and never a value: look, plan, note, run or recover. */
private Map ask(String what, String command) {
    // Without the first line Jenkins would trace each command with its variables into the log. After an abort the
    // script has to fail, and without output: else the abort is lost, or the output goes to the log.
    return lines('''#!/bin/sh
        PATH="${WORKSPACE_TMP:-$WORKSPACE@tmp}/mlops-steps/bin:$PATH"
        export PATH
        found=$(mlops-steps from-environment ''' + what + ''')
        code=$?
        case $code in 129|130|143) exit $code ;; esac
        printf '%s\\nexit=%s\\n' "$found" "$code"
    ''', "mlops-steps ${command}: ${what}")
}

/** The record is archived before a change: an agent that is lost in between cannot say any more what was live. */
private String noteFirst(Map plan, String command) {
    if (!plan.note) {
        return env.MLOPS_LIVE
    }
    Map noted = ask('note', command)
    publish(noted)
    return noted.live ?: env.MLOPS_LIVE
}

private Map runToEnd(String command, Map parameters, String live) {
    try {
        Map ended = ask('run', command)
        if (!ended.verdict) {
            error("mlops-steps ${command} was interrupted, exit code ${ended.exit}")
        }
        return ended
    } catch (cut) {
        // Aborted, out of time, or the agent is gone. Jenkins waits 20 s for a step that it has stopped; a restore may
        // take longer, so another one sees to it.
        recoverAndReport(command, parameters, live)
        if (isFailedScript(cut)) {
            error("mlops-steps ${command} was interrupted: ${cut.message}")
        }
        throw cut
    }
}

/** Recovers, and publishes what came of it. Whatever fails here, the first interruption is the one that goes on. */
private void recoverAndReport(String command, Map parameters, String live) {
    Map ended = [:]
    try {
        ended = recover(command)
    } catch (unseen) {
        reportUnseen(command, parameters, live, isInterruption(unseen))
        return
    }
    try {
        publish(ended)
    } catch (unpublished) {
        echo("mlops-steps ${command}: not published: ${unpublished.message}")
    }
}

/** Waits for the restore. One more abort, or the second one of a timeout block, does not end that; the next does. */
private Map recover(String command) {
    Map ended = [:]
    try {
        ended = ask('recover', command)
    } catch (again) {
        if (!isInterruption(again) && !isFailedScript(again)) {
            throw again
        }
    }
    if (!ended.verdict) {
        echo("mlops-steps ${command}: aborted once more; still waiting for the restore to end")
        ended = ask('recover', command)
    }
    return ended
}

/** The command was stopped by a signal that Jenkins knows nothing of. */
private boolean isFailedScript(Object thrown) {
    return thrown.class.simpleName == 'AbortException' && thrown.message?.startsWith('script returned exit code')
}

/** Nobody has seen the end of it: one line says so, and what to do. */
private void reportUnseen(String command, Map parameters, String live, boolean stoppedWaiting) {
    String stage = parameters.stage ?: ''
    String text = stoppedWaiting
        ? "no longer waiting for the restore, which goes on in its own process while agent ${env.NODE_NAME} lives"
        : "agent ${env.NODE_NAME} is lost"
    String known = live ? "Last known: ${live}. " : ''
    String next = stage
        ? "On another agent, mlopsRecover(stage: '${stage}') finishes the restore, or finds that none is pending."
        : ''
    echo("mlops-steps ${command}: INTERRUPTED: ${text}; what became of ${stage ?: 'it'} was not seen. ${known}${next}")
    describe("INTERRUPTED | ${command} ${stage}: its end was not seen, see the log")
}

/** The release record and the reports of the earlier steps, which may have run on another agent. */
private void bringBack(Map plan) {
    for (String name in (plan.unstash ?: '').tokenize(',')) {
        try {
            unstash(name)
        } catch (none) {
            if (none.class.simpleName != 'AbortException') {
                throw none
            }
            echo("nothing from an earlier step of this build: ${none.message}")
        }
    }
}

/** Without keys there is no block, nor its lines in the log. */
private void withKeys(List bindings, Closure body) {
    if (bindings) {
        withCredentials(bindings, body)
    } else {
        body()
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

/** What mlops.yml says, for the steps and conditions after this one. */
private void configured(Map ended) {
    if (ended.automation) {
        env.MLOPS_AUTOMATION = ended.automation
        env.MLOPS_APPROVERS = ended.approvers ?: ''
        env.MLOPS_RELEASE_STAGE = ended.releaseStage ?: ''
        env.MLOPS_TEST_STAGES = ended.testStages ?: ''
        env.MLOPS_OPTIONS = ended.options ?: ''
    }
    if (ended.units) {
        env.MLOPS_UNITS = ended.units
        env.MLOPS_API_RELEASE_STAGE = ended.apiReleaseStage ?: ''
        env.MLOPS_API_TEST_STAGES = ended.apiTestStages ?: ''
    }
}

/** A list of names with commas less others, ready for one more. */
private String without(String names, String others) {
    String left = ''
    for (String name in (names ?: '').tokenize(',')) {
        if (!(name in (others ?: '').tokenize(','))) {
            left += name + ','
        }
    }
    return left
}

/** Each step writes the description again; why the build is unstable stays in it. */
private void describe(String text) {
    String now = currentBuild.description ?: ''
    int unstable = now.indexOf(' | UNSTABLE: ')
    currentBuild.description = unstable < 0 ? text : text + now.substring(unstable)
}

private void judge(String command, Map parameters, Map ended) {
    String said = "mlops-steps ${command}: ${ended.verdict}"
    if (ended.exit == '1' && parameters.failing == 'unstable') {
        currentBuild.description = "${currentBuild.description ?: ''} | UNSTABLE: ${command}: ${ended.verdict}"
        unstable(said)
    } else if (ended.exit != '0') {
        error(said)
    }
}
