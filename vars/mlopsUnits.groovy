/*
 * What mlopsPipeline does with the units of a project: its bundle, and its API service. What there is says mlops.yml
 * (MLOPS_UNITS), what is left out says the Jenkinsfile (skip).
 */

/** Each stage calls this: a declarative pipeline takes other methods in `script { }` only, four lines in the log. */
void call(String what, Map settings) {
    switch (what) {
        case 'look':
            mlopsStep.look(settings.step)
            break
        case 'package':
            packageAll(settings)
            break
        case 'test':
            testAll(settings)
            break
        case 'plan':
            planAll(settings)
            break
        case 'release':
            releaseAll(settings, params.DRY_RUN == true)
            break
        default:
            error("mlopsUnits: there is no ${what}")
    }
}

/** Whether this job releases it: 'bundle' or 'service'. */
boolean has(String unit, Map settings) {
    // Without an answer from mlops.yml, the first step of the bundle says what is wrong with it.
    return unit in (env.MLOPS_UNITS ?: 'bundle').tokenize(' ') && !(unit in settings.skip)
}

/** The stage that a person is asked about. */
String asked(Map settings) {
    return has('bundle', settings) ? stageOf(settings) : env.MLOPS_API_RELEASE_STAGE
}

private void packageAll(Map settings) {
    if (has('bundle', settings)) {
        mlopsPackage(settings.step)
    }
    if (has('service', settings)) {
        mlopsApiPackage(settings.step)
    }
}

private void testAll(Map settings) {
    if (has('bundle', settings)) {
        for (String name in (settings.test ?: env.MLOPS_TEST_STAGES.tokenize(' '))) {
            stage("Test on ${name}") {
                mlopsDeploy(settings.step + [stage: name])
                mlopsTest(settings.step + [stage: name])
            }
        }
    }
    if (has('service', settings)) {
        for (String name in env.MLOPS_API_TEST_STAGES.tokenize(' ')) {
            stage("Test the API service on ${name}") {
                mlopsApiDeploy(settings.step + [stage: name])
                mlopsApiTest(settings.step + [stage: name])
            }
        }
    }
}

/** What the release will do: the approver is asked about that. */
private void planAll(Map settings) {
    if (has('bundle', settings)) {
        mlopsPlan(settings.step + [stage: stageOf(settings)])
    }
    if (has('service', settings)) {
        mlopsApiPlan(settings.step + [stage: env.MLOPS_API_RELEASE_STAGE])
    }
}

private void releaseAll(Map settings, boolean dryRun) {
    if (has('bundle', settings)) {
        mlopsRelease(settings.step + [stage: stageOf(settings), dryRun: dryRun])
    }
    if (has('service', settings)) {
        mlopsApiRelease(settings.step + [stage: env.MLOPS_API_RELEASE_STAGE, dryRun: dryRun])
    }
}

private String stageOf(Map settings) {
    return settings.release ?: env.MLOPS_RELEASE_STAGE
}
