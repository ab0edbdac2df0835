import groovy.json.JsonOutput

boolean call(Map parameters = [:]) {
    List known = ['stage', 'approvers', 'time', 'unit', 'message']
    String unknown = (parameters.keySet() - known).join(', ')
    if (unknown) {
        error("mlopsApprove: unknown parameter ${unknown} (parameters: ${known.join(', ')})")
    }
    Map asked = [stage: env.MLOPS_RELEASE_STAGE, approvers: '', time: 24, unit: 'HOURS', message: ''] + parameters
    boolean release = false
    switch (env.MLOPS_AUTOMATION) {
        case 'full':
            echo("mlopsApprove: automation is full, so ${asked.stage} is released to without a question")
            release = true
            break
        case 'approval':
            env.MLOPS_APPROVAL = JsonOutput.toJson([stage: asked.stage, by: ask(asked)])
            release = true
            break
        case 'manual':
            echo('mlopsApprove: automation is manual, the pipeline ends here. To release, run where the keys are:\n' +
                "curl -fsSn --create-dirs -o ${env.MLOPS_RECORD} ${env.BUILD_URL}artifact/${env.MLOPS_RECORD} && " +
                "mlops-steps release --stage ${asked.stage}")
            break
        default:
            error('mlopsApprove: no step of this build has read mlops.yml yet; call one before, such as mlopsPackage()')
    }
    env.MLOPS_RELEASE = release ? 'true' : 'false'
    return release
}

/** Asks, and returns who has approved. */
private String ask(Map asked) {
    if (env.NODE_NAME) {
        echo('mlopsApprove: called within an agent, so the question keeps an executor busy')
    }
    String question = asked.message ?: "Release to ${asked.stage}?\n${currentBuild.description}"
    String approvers = asked.approvers instanceof List ? asked.approvers.join(',') : asked.approvers
    String by = ''
    try {
        timeout(time: asked.time, unit: asked.unit) {
            by = input(message: question, ok: 'Release', submitter: approvers, submitterParameter: 'approver')
        }
    } catch (declined) {
        currentBuild.description = "${currentBuild.description} | ${asked.stage}: not approved"
        throw declined
    }
    echo("mlopsApprove: ${asked.stage} approved by ${by}")
    return by
}
