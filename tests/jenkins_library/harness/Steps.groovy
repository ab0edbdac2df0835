import hudson.AbortException
import org.jenkinsci.plugins.credentialsbinding.impl.CredentialNotFoundException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.jenkinsci.plugins.workflow.support.steps.AgentOfflineException

/**
 * The pipeline steps of Jenkins that the library uses, no others. A step that is not here, and a parameter that it does
 * not have, fail.
 */
class Steps {
    /** Per step: its parameters, the one that may stand alone first; whether it needs an agent; whether it has a body. */
    static final Map<String, Map> KNOWN = [
        archiveArtifacts: [has: ['artifacts', 'allowEmptyArchive', 'caseSensitive', 'defaultExcludes', 'excludes',
                                 'fingerprint', 'followSymlinks', 'onlyIfSuccessful'], agent: true],
        checkout: [has: ['scm'], agent: true],
        choice: [has: ['name', 'choices', 'description']],
        dir: [has: ['path'], agent: true, body: true],
        echo: [has: ['message']],
        error: [has: ['message']],
        fileExists: [has: ['file'], agent: true],
        input: [has: ['message', 'id', 'ok', 'cancel', 'submitter', 'submitterParameter', 'parameters']],
        junit: [has: ['testResults', 'allowEmptyResults', 'keepLongStdio', 'healthScaleFactor', 'keepProperties',
                      'keepTestNames', 'skipPublishingChecks', 'checksName', 'skipMarkingBuildUnstable', 'skipOldReports',
                      'stdioRetention'], agent: true],
        libraryResource: [has: ['resource', 'encoding']],
        node: [has: ['label'], body: true],
        parallel: [has: null],
        pwd: [has: ['tmp'], agent: true],
        readFile: [has: ['file', 'encoding'], agent: true],
        script: [has: [], body: true],
        sh: [has: ['script', 'returnStdout', 'returnStatus', 'label', 'encoding'], agent: true],
        stage: [has: ['name'], body: true],
        stash: [has: ['name', 'includes', 'excludes', 'allowEmpty', 'useDefaultExcludes'], agent: true],
        string: [has: ['credentialsId', 'variable']],
        timeout: [has: ['time', 'unit', 'activity'], body: true],
        unstable: [has: ['message']],
        unstash: [has: ['name'], agent: true],
        withCredentials: [has: ['bindings'], body: true],
        withEnv: [has: ['overrides'], body: true],
        writeFile: [has: ['file', 'text', 'encoding'], agent: true],
    ]
    private static final Map<String, Integer> SECONDS = [SECONDS: 1, MINUTES: 60, HOURS: 3600, DAYS: 86400]

    private final Build build

    Steps(Build build) {
        this.build = build
    }

    /** A call by a Jenkinsfile or by a file in vars/. */
    Object invoke(Script caller, String name, List arguments) {
        if (name == 'pipeline') {
            return new Declarative(build, caller).run(arguments[0] as Closure)
        }
        if (build.sources.has(name)) {
            build.called << name
            return build.sources.variable(name, caller).invokeMethod('call', arguments as Object[])
        }
        Map step = KNOWN[name]
        if (!step) {
            throw new Strict("${name}: no step that the harness knows")
        }
        Closure body = arguments && arguments.last() instanceof Closure ? arguments.last() as Closure : null
        Map given = parameters(name, step, body ? arguments.init() : arguments)
        if ((body != null) != (step.body == true)) {
            throw new Strict("${name}: ${body ? 'takes no' : 'needs a'} body")
        }
        if (step.agent && !build.agents) {
            throw new Strict("${name}: needs an agent, and is called outside of one")
        }
        if (step.agent && build.lost == agent.name) {
            throw new AgentOfflineException("Unable to create live FilePath for ${agent.name}")
        }
        Rules.atStep(name)
        build.stepsRun << name
        checkSecrets(name, given)
        return body ? this."$name"(given, body) : this."$name"(given)
    }

    private static Map parameters(String name, Map step, List arguments) {
        if (arguments.size() > 1) {
            throw new Strict("${name}: more than one argument")
        }
        Object only = arguments ? arguments[0] : [:]
        Map given = only instanceof Map ? only : [(step.has[0]): only]
        given.keySet().each {
            if (step.has != null && !(it in step.has)) {
                throw new Strict("${name}: has no parameter ${it}")
            }
        }
        return given
    }

    /** A secret in a step's parameter would stand in the log, in the process list, or both. */
    private void checkSecrets(String name, Map given) {
        build.secrets.values().each { secret ->
            if (given.toString().contains(secret)) {
                throw new Strict("${name}: a secret is part of its parameters")
            }
        }
    }

    private Agent getAgent() {
        return build.agents.last()
    }

    private File file(String path) {
        File given = new File(path)
        return given.absolute ? given : new File(agent.folder, path)
    }

    private Map<String, File> matching(String includes) {
        Map<String, File> found = [:]
        new AntBuilder().fileScanner { fileset(dir: agent.folder, includes: includes) }.each { File match ->
            found[agent.folder.toPath().relativize(match.toPath()).toString()] = match
        }
        return found
    }

    // The steps.

    private void archiveArtifacts(Map given) {
        Map<String, File> found = matching(given.artifacts as String)
        if (!found && !given.allowEmptyArchive) {
            throw new AbortException("No artifacts found that match the file pattern \"${given.artifacts}\".")
        }
        found.each { String path, File match ->
            File target = new File(build.artifacts, path)
            target.parentFile.mkdirs()
            target.bytes = match.bytes
        }
    }

    private Map checkout(Map given) {
        String source = build.scenario.source
        if (!source) {
            throw new AbortException('This job has no SCM')
        }
        List<String> command = new File(agent.workspace, '.git').exists()
            ? ['sh', '-c', 'git fetch -q && git checkout -q -f FETCH_HEAD']
            : ['git', 'clone', '-q', source, '.']
        Process git = new ProcessBuilder(command).directory(agent.workspace).redirectErrorStream(true).start()
        String output = git.inputStream.text
        if (git.waitFor() != 0) {
            throw new AbortException("checkout: ${output}")
        }
        String commit = ['git', 'rev-parse', 'HEAD'].execute(null, agent.workspace).text.trim()
        return [GIT_COMMIT: commit]
    }

    private static Map choice(Map given) {
        return ['$class': 'choice'] + given
    }

    private Object dir(Map given, Closure body) {
        File folder = file(given.path as String)
        folder.mkdirs()
        agent.folders << folder
        try {
            return body.call()
        } finally {
            agent.folders.remove(agent.folders.size() - 1)
        }
    }

    private void echo(Map given) {
        build.println(String.valueOf(given.message))
    }

    private void error(Map given) {
        throw new AbortException(String.valueOf(given.message))
    }

    private boolean fileExists(Map given) {
        return file(given.file as String).exists()
    }

    private Object input(Map given) {
        Map answer = build.answers ? build.answers.remove(0) : null
        if (given.id && !(given.id ==~ /[A-Z][A-Za-z0-9_.-]*/)) {
            throw new Strict("input: ${given.id} is not safe as an id: it is part of an address")
        }
        build.inputs << [
            message: given.message as String, submitter: given.submitter, held: !build.agents.empty, id: given.id as String,
            details: given.parameters?.collect { it.description as String }?.join('\n'),
        ]
        if (answer == null) {
            throw new Strict('input: the scenario has no answer for this question')
        }
        if (answer.decline) {
            throw new FlowInterruptedException("Rejected by ${answer.by}")
        }
        if (answer.late) {
            throw new FlowInterruptedException('Timeout has been exceeded')
        }
        List who = given.submitter ? (given.submitter as String).tokenize(',') : []
        if (who && !(answer.by in who)) {
            throw new Strict("input: ${answer.by} may not answer, only ${who}")
        }
        build.println("Approved by ${answer.by}")
        // One value comes alone; over REST (`proceedEmpty`) the parameters are left out.
        Map values = answer.rest ? [:] : (given.parameters ?: []).collectEntries { [it.name, it.choices[0]] }
        if (given.submitterParameter) {
            values[given.submitterParameter] = answer.by
        }
        return values.size() == 1 ? values.values().first() : values ?: null
    }

    private Object junit(Map given) {
        Map<String, File> found = matching(given.testResults as String).findAll {
            it.value.lastModified() >= build.started - 3000
        }
        if (!found && !given.allowEmptyResults) {
            throw new AbortException('No test report files were found. Configuration error?')
        }
        found.each { String path, File report ->
            build.junit.addAll(JunitFile.cases(path, report, given.keepLongStdio == true))
        }
        List mine = build.junit.findAll { it.file in found.keySet() }
        if (mine.any { it.status in ['failure', 'error'] }) {
            build.worse('UNSTABLE')
        }
        return [totalCount: mine.size(), failCount: mine.count { it.status in ['failure', 'error'] }]
    }

    private String libraryResource(Map given) {
        return build.sources.resource(given.resource as String)
    }

    Object node(Map given, Closure body) {
        Agent agent = build.allocate()
        build.println("Running on ${agent.name} in ${agent.workspace}")
        build.agents << agent
        try {
            return body.call()
        } finally {
            build.agents.remove(build.agents.size() - 1)
            Shell.terminate("JENKINS_NODE_COOKIE=${agent.cookie}")
        }
    }

    /** All branches, side by side: what a step does in one goes on while another one waits. Throws what failed first. */
    private Object parallel(Map given) {
        List<Throwable> failures = [].asSynchronized()
        Branch parent = build.branch
        List<Map> frames = Rules.frames()
        List<Thread> threads = given.findAll { it.value instanceof Closure }.collect { String name, Closure body ->
            Thread.start {
                Branch.takeTurn()
                try {
                    build.enter(parent)
                    Rules.enterBranch(frames)
                    build.println("[Pipeline] { (Branch: ${name})")
                    body.call()
                } catch (Throwable failure) {
                    failures << failure
                } finally {
                    Branch.giveTurn()
                }
            }
        }
        Branch.waiting { threads*.join() }
        if (failures) {
            throw failures[0]
        }
        return null
    }

    private String pwd(Map given) {
        return given.tmp ? agent.temporary.path : agent.folder.path
    }

    private String readFile(Map given) {
        return file(given.file as String).getText('UTF-8')
    }

    private Object script(Map given, Closure body) {
        return body.call()
    }

    private Object sh(Map given) {
        return new Shell(build).run(given)
    }

    Object stage(Map given, Closure body) {
        build.println("[Pipeline] { (${given.name})")
        Map stage = [name: given.name as String, status: 'SUCCESS']
        build.stages << stage
        String before = build.result
        try {
            return body.call()
        } catch (Throwable failure) {
            stage.status = failure instanceof FlowInterruptedException ? 'ABORTED' : 'FAILURE'
            throw failure
        } finally {
            if (stage.status == 'SUCCESS' && before != build.result && build.result == 'UNSTABLE') {
                stage.status = 'UNSTABLE'
            }
        }
    }

    private void stash(Map given) {
        Map<String, File> found = matching((given.includes ?: '**') as String)
        if (!found && !given.allowEmpty) {
            throw new AbortException('No files included in stash')
        }
        if (build.stashes.containsKey(given.name as String)) {
            throw new Strict("stash: ${given.name} is overwritten, which Jenkins warns of")
        }
        build.stashes[given.name as String] = found.collectEntries { path, match -> [path, match.bytes] }
    }

    private static Map string(Map given) {
        return ['$class': 'string'] + given
    }

    Object timeout(Map given, Closure body) {
        Limit limit = new Limit((given.time as double) * SECONDS[(given.unit ?: 'MINUTES') as String])
        build.limits << limit
        try {
            Object result = body.call()
            if (limit.over) {
                throw new FlowInterruptedException('Timeout has been exceeded')
            }
            return result
        } finally {
            build.limits.remove(limit)
        }
    }

    private void unstable(Map given) {
        build.println("WARNING: ${given.message}")
        build.worse('UNSTABLE')
    }

    private void unstash(Map given) {
        Map<String, byte[]> stash = build.stashes[given.name as String]
        if (stash == null) {
            throw new AbortException("No such saved stash ‘${given.name}’")
        }
        stash.each { String path, byte[] content ->
            File target = new File(agent.folder, path)
            target.parentFile.mkdirs()
            target.bytes = content
        }
    }

    private Object withCredentials(Map given, Closure body) {
        Map<String, String> bound = [:]
        given.bindings.each { Map binding ->
            String id = binding.credentialsId
            String secret = (build.scenario.credentials ?: [:])[id]
            if (secret == null) {
                throw new CredentialNotFoundException("Could not find credentials entry with ID '${id}'")
            }
            bound[binding.variable as String] = secret
        }
        // Side by side, branches bind the same names.
        String mine = UUID.randomUUID()
        bound.each { String name, String secret -> build.secrets["${mine} ${name}" as String] = secret }
        build.contexts << bound
        try {
            return body.call()
        } finally {
            build.contexts.remove(build.contexts.size() - 1)
            bound.keySet().each { build.secrets.remove("${mine} ${it}" as String) }
        }
    }

    Object withEnv(Map given, Closure body) {
        Map<String, String> added = [:]
        given.overrides.each { Object pair ->
            if (!(pair instanceof String) || !pair.contains('=')) {
                throw new Strict("withEnv: ${pair.getClass().simpleName} ${pair} is no text NAME=VALUE")
            }
            added[pair.substring(0, pair.indexOf('='))] = pair.substring(pair.indexOf('=') + 1)
        }
        build.contexts << added
        try {
            return body.call()
        } finally {
            build.contexts.remove(build.contexts.size() - 1)
        }
    }

    private void writeFile(Map given) {
        File target = file(given.file as String)
        target.parentFile.mkdirs()
        target.setText(given.text as String, (given.encoding ?: 'UTF-8') as String)
    }
}
