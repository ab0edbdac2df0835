void call(Map given = [:]) {
    Map defaults = [agent: '', skip: [], test: [], release: '', approvers: '', time: 24, unit: 'HOURS', setup: [:],
                    step: [:]]
    String unknown = (given.keySet() - defaults.keySet()).join(', ')
    if (unknown) {
        error("mlopsPipeline: unknown parameter ${unknown}; there are ${defaults.keySet().join(', ')}")
    }
    Map settings = defaults + given
    pipeline {
        agent none
        options {
            buildDiscarder(logRotator(numToKeepStr: '50'))
            disableConcurrentBuilds()
            preserveStashes(buildCount: 5)
            skipStagesAfterUnstable()
        }
        parameters {
            booleanParam(name: 'DOCTOR', defaultValue: true, description: 'Check the nodes first.')
            booleanParam(name: 'VALIDATE', defaultValue: true, description: 'Check the project against the rules.')
            booleanParam(name: 'RELEASE', defaultValue: true, description: 'Release when the tests have passed.')
            booleanParam(name: 'DRY_RUN', defaultValue: false,
                description: 'Only say what the release would do: no question, no change of production.')
            string(name: 'REASON', defaultValue: '', description: 'Why it was started; mlopsMonitor fills it in.')
        }
        stages {
            stage('Build and test') {
                agent { label settings.agent }
                options { timeout(time: 8, unit: 'HOURS') }
                stages {
                    stage('Set up') {
                        steps {
                            mlopsSetup(settings.setup)
                            mlopsUnits('look', settings)
                        }
                    }
                    stage('Doctor') {
                        when { expression { params.DOCTOR != false && !('doctor' in settings.skip) } }
                        steps { mlopsDoctor(settings.step) }
                    }
                    stage('Validate') {
                        when { expression { params.VALIDATE != false && !('validate' in settings.skip) } }
                        steps { mlopsValidate(settings.step) }
                    }
                    stage('Package') {
                        steps { mlopsUnits('package', settings) }
                    }
                    stage('Compare') {
                        when { expression { !('compare' in settings.skip) && mlopsUnits.has('bundle', settings) } }
                        steps { mlopsCompare(settings.step) }
                    }
                    stage('Test') {
                        when { expression { !('test' in settings.skip) } }
                        steps { mlopsUnits('test', settings) }
                    }
                    stage('Plan') {
                        when {
                            expression {
                                (params.RELEASE != false || params.DRY_RUN) && !('release' in settings.skip) &&
                                    !('plan' in settings.skip)
                            }
                        }
                        steps { mlopsUnits('plan', settings) }
                    }
                }
            }
            // One stage, so that "Restart from Stage" asks again: an approval counts in the build that asked.
            stage('Release') {
                when { expression { (params.RELEASE != false || params.DRY_RUN) && !('release' in settings.skip) } }
                stages {
                    stage('Approve') {
                        when { expression { !params.DRY_RUN } }
                        steps {
                            mlopsApprove(stage: mlopsUnits.asked(settings),
                                approvers: settings.approvers, time: settings.time, unit: settings.unit)
                        }
                    }
                    stage('Production') {
                        when {
                            beforeAgent true
                            expression { params.DRY_RUN || env.MLOPS_RELEASE == 'true' }
                        }
                        agent { label settings.agent }
                        steps {
                            mlopsSetup(settings.setup)
                            mlopsUnits('release', settings)
                        }
                    }
                }
            }
        }
        post {
            always { echo("${currentBuild.currentResult}: ${currentBuild.description ?: 'no step has ended yet'}") }
        }
    }
}
