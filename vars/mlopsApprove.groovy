import groovy.json.JsonOutput

boolean call(Map parameters = [:]) {
    List known = ['stage', 'approvers', 'time', 'unit', 'message']
    String unknown = (parameters.keySet() - known).join(', ')
    if (unknown) {
        error("mlopsApprove: unknown parameter ${unknown} (parameters: ${known.join(', ')})")
    }
    Map asked = [stage: env.MLOPS_RELEASE_STAGE, approvers: '', time: 24, unit: 'HOURS', message: ''] + parameters
    boolean release = true
    switch (env.MLOPS_AUTOMATION) {
        case 'full':
            echo("mlopsApprove: automation is full, so ${asked.stage} is released to without a question")
            break
        case 'approval':
            checkBundle()
            ask(asked)
            break
        case 'manual':
            checkBundle()
            echo('mlopsApprove: automation is manual, the pipeline ends here. To release, run where the keys are:\n' +
                "curl -fsSn --create-dirs -o ${env.MLOPS_RECORD} ${env.BUILD_URL}artifact/${env.MLOPS_RECORD} && " +
                "mlops-steps release --stage ${asked.stage}${env.MLOPS_OPTIONS ?: ''}")
            release = false
            break
        default:
            error('mlopsApprove: no step of this build has read mlops.yml yet; call one before, such as mlopsPackage()')
    }
    env.MLOPS_RELEASE = release ? 'true' : 'false'
    return release
}

private void checkBundle() {
    if (!env.MLOPS_ASKED) {
        error('mlopsApprove: no step of this build has made a bundle; call mlopsPackage() before')
    }
}

/** Whom to ask: the approvers of the policy, or those of them that the Jenkinsfile names. */
private String among(Object named) {
    List allowed = (env.MLOPS_APPROVERS ?: '').tokenize(',')
    List given = named instanceof List ? named : "${named ?: ''}".tokenize(',')
    String others = (given - allowed).join(', ')
    if (allowed && others) {
        error("mlopsApprove: ${others} may not approve; the policy of the project names ${allowed.join(', ')}")
    }
    return (given ?: allowed).join(',')
}

/** Asks, and notes who has approved what, and when. What `MLOPS_ASKED` refers to is known in Python. */
private void ask(Map asked) {
    if (env.NODE_NAME) {
        echo('mlopsApprove: called within an agent, so the question keeps an executor busy')
    }
    String subject = env.MLOPS_ASKED
    String id = "Mlops-${asked.stage}"
    String approvers = among(asked.approvers)
    String details = env.MLOPS_DETAILS.replace('\\n', '\n')
    String by = ''
    echo("mlopsApprove: question ${id} waits for an answer: ${env.BUILD_URL}input/")
    try {
        timeout(time: asked.time, unit: asked.unit) {
            Object answer = input(id: id, message: asked.message ?: "${env.MLOPS_QUESTION} to ${asked.stage}?",
                ok: 'Release', submitter: approvers, submitterParameter: 'approver',
                parameters: [choice(name: 'bundle', choices: [env.MLOPS_BUNDLE], description: details)])
            // Over REST the answer may come without the parameter; then it is the name alone.
            by = answer instanceof Map ? answer.approver : answer
        }
    } catch (declined) {
        currentBuild.description = (currentBuild.description ? currentBuild.description + ' | ' : '') +
            "${asked.stage}: not approved"
        throw declined
    }
    String at = "${System.currentTimeMillis()}"
    // "Restart from Stage" copies it to another build, so it names its own. A line of JSON for each answer.
    String build = env.BUILD_URL ?: env.BUILD_NUMBER
    Map answered = [stage: asked.stage, by: by, at: at, asked: subject, build: build, among: approvers]
    env.MLOPS_APPROVAL = (env.MLOPS_APPROVAL ?: '') + JsonOutput.toJson(answered) + '\n'
}
