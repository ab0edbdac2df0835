import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** Runs `pipeline { }` in the order in which Jenkins does: options, input, agent, environment, steps, post. */
class Declarative {
    private final Build build
    private final Script script

    Declarative(Build build, Script script) {
        this.build = build
        this.script = script
    }

    Object run(Closure body) {
        Root root = new Root(script)
        Directive.fill(root, body)
        root.requires('agent', 'stages')
        root.build.each { Map definition -> build.parameters[definition.name as String] = definition.value }
        build.parameters.putAll(build.scenario.params ?: [:])
        Throwable first = null
        try {
            onAgent(root) {
                withEnvironment(root.variables) {
                    withLimit(root.limit) {
                        first = sequence(root, root.inner)
                        first = post(root.post, first)
                        if (first) {
                            throw first
                        }
                    }
                }
            }
        } catch (Throwable failure) {
            first = first ?: failure
        }
        if (first) {
            throw first
        }
        return null
    }

    private Throwable sequence(Root root, List<Stage> stages) {
        Throwable first = null
        // "Restart from Stage": the stages before are skipped. What the build before had in env is there again.
        String restart = root.inner.is(stages) ? build.scenario.restartFrom : null
        boolean begun = !restart
        for (Stage stage in stages) {
            begun = begun || stage.name == restart
            try {
                if (!begun) {
                    skip(stage, 'restart from a later stage')
                } else if (first) {
                    skip(stage, 'earlier failure')
                } else if (root.options.contains('skipStagesAfterUnstable') && build.result == 'UNSTABLE') {
                    skip(stage, 'unstable')
                } else {
                    execute(root, stage)
                }
            } catch (Throwable failure) {
                first = first ?: failure
            }
        }
        return first
    }

    private void skip(Stage stage, String why) {
        build.println("Stage \"${stage.name}\" skipped due to ${why}")
        build.stages << [name: stage.name, status: 'SKIPPED']
        stage.inner.each { skip(it, why) }
    }

    private void execute(Root root, Stage stage) {
        if (stage.when && stage.when.beforeAgent && !stage.when.holds(build)) {
            skip(stage, 'when conditional')
            return
        }
        build.steps.stage([name: stage.name]) {
            withLimit(stage.limit) {
                onAgent(stage) {
                    if (stage.when && !stage.when.beforeAgent && !stage.when.holds(build)) {
                        build.stages.find { it.name == stage.name }.status = 'SKIPPED'
                        build.println("Stage \"${stage.name}\" skipped due to when conditional")
                        stage.inner.each { skip(it, 'when conditional') }
                        return
                    }
                    withEnvironment(stage.variables) {
                        Throwable first = null
                        if (stage.inner) {
                            first = sequence(root, stage.inner)
                        } else {
                            try {
                                steps(stage.steps)
                            } catch (Throwable failure) {
                                first = failure
                            }
                        }
                        first = post(stage.post, first)
                        if (first) {
                            throw first
                        }
                    }
                }
            }
        }
    }

    private void steps(Closure body) {
        // Without its lexical owner: what stands around it in the Jenkinsfile are directives, not steps.
        body.rehydrate(script, script, script).call()
    }

    private Throwable post(Map<String, Closure> conditions, Throwable first) {
        String result = first instanceof FlowInterruptedException ? 'ABORTED' : first ? 'FAILURE' : build.result ?: 'SUCCESS'
        build.worse(result)
        Map holds = [
            always: true, aborted: result == 'ABORTED', failure: result == 'FAILURE', success: result == 'SUCCESS',
            unstable: result == 'UNSTABLE', unsuccessful: result != 'SUCCESS', cleanup: true,
        ]
        holds.each { String name, boolean now ->
            if (now && conditions[name]) {
                try {
                    steps(conditions[name])
                } catch (Throwable failure) {
                    first = first ?: failure
                }
            }
        }
        return first
    }

    private Object onAgent(Stage place, Closure body) {
        if (place.agent == null || place.agent == 'none') {
            return body.call()
        }
        return build.steps.node([label: place.agent]) {
            Map commit = [:]
            if (build.scenario.source) {
                commit = build.steps.checkout([:])
            }
            build.contexts << commit
            try {
                body.call()
            } finally {
                build.contexts.remove(build.contexts.size() - 1)
            }
        }
    }

    private Object withLimit(Map limit, Closure body) {
        return limit ? build.steps.timeout(limit, body) : body.call()
    }

    private Object withEnvironment(Closure variables, Closure body) {
        Map<String, Object> found = [:]
        if (variables) {
            // Only now: the values may use parameters, and the agent's environment.
            Directive.fill(new Variables(script, found), variables)
        }
        return found ? build.steps.withEnv([overrides: found.collect { "${it.key}=${it.value}" as String }], body)
            : body.call()
    }
}
