import groovy.json.JsonOutput

boolean call(Map parameters = [:]) {
    List known = ['stage', 'approvers', 'time', 'unit', 'message']
    String unknown = (parameters.keySet() - known).join(', ')
    if (unknown) {
        error("mlopsApprove: unknown parameter ${unknown} (parameters: ${known.join(', ')})")
    }
    String release = env.MLOPS_RELEASE_STAGE ?: env.MLOPS_API_RELEASE_STAGE
    Map asked = [stage: release, approvers: '', time: 24, unit: 'HOURS', message: ''] + parameters
    boolean goesOn = true
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
                "curl -fsSn --create-dirs -o ${env.MLOPS_RECORD} ${env.BUILD_URL}artifact/${env.MLOPS_RECORD}" +
                byHand(asked.stage))
            goesOn = false
            break
        default:
            error('mlopsApprove: no step of this build has read mlops.yml yet; call one before, such as mlopsPackage()')
    }
    env.MLOPS_RELEASE = goesOn ? 'true' : 'false'
    return goesOn
}

private void checkBundle() {
    if (!env.MLOPS_ASKED) {
        error('mlopsApprove: no step of this build has made anything to release; call mlopsPackage(), or ' +
            'mlopsApiPackage(), before')
    }
}

/** The commands that release what this build has made. */
private String byHand(String stage) {
    String options = env.MLOPS_OPTIONS ?: ''
    String found = ''
    if (env.MLOPS_SUBJECT != 'service') {
        found += " && mlops-steps release --stage ${stage}${options}"
    }
    if ('service' in (env.MLOPS_SUBJECT ?: '').tokenize(' ')) {
        found += " && mlops-steps api-release --stage ${env.MLOPS_API_RELEASE_STAGE}${options}"
    }
    return found
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
