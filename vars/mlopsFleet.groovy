import groovy.json.JsonOutput
import groovy.json.JsonSlurper

/*
 * Several projects, released together. `mlops-steps fleet plan` says what is done for which project, in which order;
 * here it is distributed over agents, and what came of each step is noted for `mlops-steps fleet report`.
 */

Map call(Map given = [:]) {
    Map defaults = [file: 'fleet.yml', agent: '', approvers: '', time: 24, unit: 'HOURS', setup: [:], step: [:]]
    String unknown = (given.keySet() - defaults.keySet()).join(', ')
    if (unknown) {
        error("mlopsFleet: unknown parameter ${unknown}; there are ${defaults.keySet().join(', ')}")
    }
    Map settings = defaults + given
    Map fleet = [settings: settings, plan: planned(settings), noted: [:]]
    fleet.plan.projects.each { String name, Map project ->
        fleet.noted[name] = [steps: [], skipped: project.problem, failed: project.problem != '']
    }
    try {
        stage('Prepare') { inOrder(fleet, 'prepare') }
        stage('Approve') { fleet.plan.questions.each { Map one -> ask(fleet, one) } }
        stage('Release') { inOrder(fleet, 'release') }
    } catch (cut) {
        sumUp(fleet)
        throw cut
    }
    Map ended = sumUp(fleet)
    if (ended.exit != '0') {
        error("mlopsFleet: ${ended.verdict}")
    }
    return ended
}

private Map planned(Map settings) {
    Map found = [:]
    onAgent(settings.agent, settings) {
        withEnv(['MLOPS_FLEET=' + settings.file]) {
            found = mlopsStep.lines('''#!/bin/sh
                PATH="${WORKSPACE_TMP:-$WORKSPACE@tmp}/mlops-steps/bin:$PATH"
                export PATH
                found=$(mlops-steps fleet plan)
                code=$?
                printf 'plan=%s\\nexit=%s\\n' "$(printf '%s' "$found" | tr -d '\\n')" "$code"
            ''', 'mlops-steps fleet plan')
        }
    }
    if (found.exit != '0') {
        error("mlopsFleet: ${settings.file} cannot be used, see the lines above")
    }
    return parsed(found.plan)
}

/** Maps and lists that may live across steps. */
@NonCPS
private Map parsed(String json) {
    return plain(new JsonSlurper().parseText(json))
}

@NonCPS
private Object plain(Object value) {
    if (value instanceof Map) {
        Map found = [:]
        for (Object key in value.keySet()) {
            found[key] = plain(value[key])
        }
        return found
    }
    if (value instanceof List) {
        List items = []
        for (Object item in value) {
            items << plain(item)
        }
        return items
    }
    return value
}

private void onAgent(String label, Map settings, Closure body) {
    node(label) {
        checkout(scm)
        mlopsSetup(settings.setup)
        body()
    }
}

private void inOrder(Map fleet, String phase) {
    for (List level in fleet.plan.levels) {
        sideBySide(fleet, level, phase)
    }
}

/** The units of a level in as many branches as the ceiling allows: each takes one after another. */
private void sideBySide(Map fleet, List units, String phase) {
    Map turn = [next: 0]
    int lanes = units.size() < fleet.plan.at_once ? units.size() : fleet.plan.at_once
    Map branches = [:]
    for (int number = 0; number < lanes; number++) {
        String name = lanes == units.size() ? units[number].name : "${phase} ${number + 1}"
        branches[name] = { lane(fleet, units, turn, phase) }
    }
    parallel(branches)
}

private void lane(Map fleet, List units, Map turn, String phase) {
    while (turn.next < units.size()) {
        Map unit = units[turn.next]
        turn.next = turn.next + 1
        work(fleet, unit, phase)
    }
}

/** A project, or a train: one after the other, and when one fails in a release, those before it are taken back. */
private void work(Map fleet, Map unit, String phase) {
    List done = []
    String why = obstacle(fleet, unit, phase)
    for (String name in unit.projects) {
        Map mine = fleet.noted[name]
        if (why || mine.skipped) {
            mine.skipped = mine.skipped ?: why
            continue
        }
        try {
            runPhase(fleet, name, phase)
        } catch (cut) {
            takeBack(fleet, done, phase, "${name} was interrupted")
            throw cut
        }
        if (mine.failed) {
            why = "${name} failed"
            takeBack(fleet, done, phase, why)
        }
        done << name
    }
}

/** Why the unit is not begun; empty: it may be. A train is released as a whole, or not at all. */
private String obstacle(Map fleet, Map unit, String phase) {
    String found = ''
    fleet.noted.each { String name, Map one ->
        boolean ended = one.failed || one.skipped
        if (one.failed && fleet.plan.on_failure == 'stop') {
            found = found ?: "${name} failed, and on_failure is stop"
        } else if (ended && name in unit.after) {
            found = found ?: "it comes after ${name}, which is not released"
        } else if (ended && phase == 'release' && name in unit.projects) {
            found = found ?: "${name} failed"
        }
    }
    return found
}

private void takeBack(Map fleet, List done, String phase, String why) {
    for (int last = done.size() - 1; phase == 'release' && last >= 0; last--) {
        fleet.noted[done[last]].skipped = "${why}, so it was taken back"
        runPhase(fleet, done[last], 'take_back')
    }
}

/** The steps of a phase on an agent, up to the first that fails. */
private void runPhase(Map fleet, String name, String phase) {
    Map project = fleet.plan.projects[name]
    Map mine = fleet.noted[name]
    Map at = [step: phase]
    if (!project[phase]) {
        return
    }
    try {
        stage("${phase.replace('_', ' ')} ${name}") {
            onAgent(project.agent ?: fleet.settings.agent, fleet.settings) {
                for (Map one in project[phase]) {
                    at.step = one.step
                    if (!runStep(fleet.settings.step + one.parameters, one.step, mine)) {
                        break
                    }
                }
            }
        }
    } catch (cut) {
        mine.failed = true
        // An abort has no message.
        String why = cut.message ?: 'aborted'
        mine.steps << [step: at.step, exit: '', verdict: why, state: '']
        echo("mlopsFleet: ${name}: ${at.step}: ${why}")
        if (mlopsStep.isInterruption(cut)) {
            throw cut
        }
    }
}

/** Whether the step did what it was asked; what came of it is noted. */
private boolean runStep(Map parameters, String step, Map mine) {
    Map ended = mlopsStep.attempt(step, parameters)
    mine.steps << [step: step, exit: ended.exit, verdict: ended.verdict, state: ended.state ?: '']
    mine.asked = ended.asked ?: mine.asked
    mine.question = ended.question ?: mine.question
    mine.details = ended.details ?: mine.details
    mine.failed = ended.exit != '0'
    return !mine.failed
}

/** One question for all projects that the same people may approve. */
private void ask(Map fleet, Map question) {
    List names = []
    List lines = []
    for (String name in question.projects) {
        Map one = fleet.noted[name]
        if (!one.failed && !one.skipped && one.asked) {
            names << name
            lines << "${one.question}\n${one.details.replace('\\n', '\n')}"
        }
    }
    if (!names) {
        return
    }
    Object given = fleet.settings.approvers
    String among = question.approvers ?: (given instanceof List ? given.join(',') : given)
    String by = answered("Mlops-fleet-${question.number}", names.join(', '), lines.join('\n\n'), among, fleet.settings)
    String at = "${System.currentTimeMillis()}"
    for (String name in names) {
        approve(fleet.plan.projects[name], [by: by, at: at, asked: fleet.noted[name].asked, among: among])
    }
}

private String answered(String id, String names, String details, String among, Map settings) {
    String by = ''
    echo("mlopsFleet: question ${id} waits for an answer: ${env.BUILD_URL}input/")
    timeout(time: settings.time, unit: settings.unit) {
        Object answer = input(id: id, message: "Release ${names}?", ok: 'Release', submitter: among,
            submitterParameter: 'approver',
            parameters: [choice(name: 'fleet', choices: [names], description: details)])
        by = answer instanceof Map ? answer.approver : answer
    }
    return by
}

/** As mlopsApprove notes it, with the project: those of a fleet may have stages of the same name. */
private void approve(Map project, Map answer) {
    String build = env.BUILD_URL ?: env.BUILD_NUMBER
    for (Map one in project.release) {
        Map line = answer + [stage: one.parameters.stage, project: project.key, build: build]
        env.MLOPS_APPROVAL = (env.MLOPS_APPROVAL ?: '') + JsonOutput.toJson(line) + '\n'
    }
}

/** One record, one JUnit report, one page, one description. */
private Map sumUp(Map fleet) {
    Map ended = [:]
    Map results = [:]
    fleet.noted.each { String name, Map one -> results[name] = [steps: one.steps, skipped: one.skipped] }
    onAgent(fleet.settings.agent, fleet.settings) {
        writeFile(file: '.mlops/fleet-results.json', encoding: 'UTF-8', text: JsonOutput.toJson([projects: results]))
        withEnv(['MLOPS_FLEET=' + fleet.settings.file, 'MLOPS_FLEET_RESULTS=.mlops/fleet-results.json']) {
            ended = mlopsStep.lines('''#!/bin/sh
                PATH="${WORKSPACE_TMP:-$WORKSPACE@tmp}/mlops-steps/bin:$PATH"
                export PATH
                found=$(mlops-steps fleet report)
                printf '%s\\nexit=%s\\n' "$found" "$?"
            ''', 'mlops-steps fleet report')
        }
        mlopsStep.publish(ended)
    }
    return ended
}
