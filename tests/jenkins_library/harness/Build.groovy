/** One build of one job: its state as Jenkins would keep it. */
class Build {
    static Build current
    /** The builds of this run by the names of their scenarios. */
    private static final Map<String, Build> ENDED = [:]

    final Map scenario
    final File root
    final Steps steps
    final Sources sources
    final long started = System.currentTimeMillis()
    final Map<String, String> overrides = [:]
    final Map<String, Object> parameters = [:]
    /** That of the thread; those that read the output of a process have that of the process. */
    private final InheritableThreadLocal<Branch> branch = new InheritableThreadLocal<Branch>()
    final List<Map> answers
    final Map<String, Map<String, byte[]>> stashes = [:]
    final List<Map> junit = []
    final List<Map> stages = []
    final List<Map> inputs = []
    final List<String> called = []
    /** The steps of Jenkins that ran: each has a line in the console there. */
    final List<String> stepsRun = [].asSynchronized()
    final Map<String, String> secrets = [:]
    final List<String> lines = [].asSynchronized()
    final CurrentBuild currentBuild = new CurrentBuild(this)
    final Environment env = new Environment(this)
    private final PrintWriter log
    String result
    String description
    String error
    private volatile int aborts
    /** The name of an agent that is gone for good. */
    volatile String lost
    private int allocated

    Build(Map scenario, File repository) {
        this.scenario = scenario
        branch.set(new Branch())
        root = new File(scenario.root as String)
        root.mkdirs()
        artifacts.mkdirs()
        log = new PrintWriter(new File(root, "log-${number}.txt").newWriter('UTF-8'), true)
        parameters.putAll(scenario.params ?: [:])
        Build before = ENDED[scenario.restartOf as String]
        if (before) {
            // Restarted: Jenkins copies the environment of the build before, and its stashes where they were preserved.
            overrides.putAll(before.overrides)
            before.stashes.each { String name, Map files -> stashes[name] = new LinkedHashMap(files) }
        }
        ENDED[scenario.name as String] = this
        answers = new ArrayList(scenario.answers ?: [])
        sources = new Sources(repository)
        steps = new Steps(this)
        current = this
        Rules.reset()
    }

    int getNumber() {
        return (scenario.number ?: 1) as int
    }

    String getJob() {
        return scenario.job ?: 'churn'
    }

    /** Why it was started. */
    List<Map> getCauses() {
        return scenario.causes ?: [[_class: 'hudson.model.Cause$UserIdCause', userId: 'dev', userName: 'Developer']]
    }

    File getArtifacts() {
        return new File(root, "artifacts-${number}")
    }

    /** Seconds that Jenkins waits for a step that it has stopped (20 there). */
    double getGrace() {
        return (scenario.grace ?: 20) as double
    }

    /** Seconds that a timeout gives its body after it has fired (60 there). */
    double getSecondGrace() {
        return (scenario.secondGrace ?: 60) as double
    }

    /** Runs the Jenkinsfile to the end of the build. */
    void run() {
        try {
            sources.jenkinsfile(scenario.script as String).run()
        } catch (org.jenkinsci.plugins.workflow.steps.FlowInterruptedException interruption) {
            worse('ABORTED')
            error = interruption.message
            println(interruption.message)
        } catch (hudson.AbortException failure) {
            worse('FAILURE')
            error = failure.message
            println("ERROR: ${failure.message}")
        } catch (Strict | org.codehaus.groovy.control.CompilationFailedException mistake) {
            worse('FAILURE')
            error = "${mistake.getClass().simpleName}: ${mistake.message}"
            println(error)
        } catch (Throwable failure) {
            worse('FAILURE')
            error = "${failure.getClass().name}: ${failure.message}"
            println(error)
            failure.stackTrace.findAll { it.fileName?.endsWith('.groovy') || it.fileName?.contains('Jenkinsfile') }
                .take(12).each { println("    at ${it}") }
        }
        result = result ?: 'SUCCESS'
        println("Finished: ${result}")
        log.close()
    }

    void worse(String other) {
        List order = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']
        if (order.indexOf(other) > order.indexOf(result ?: 'SUCCESS')) {
            result = other
        }
    }

    List<Map<String, String>> getContexts() {
        return branch.get().contexts
    }

    List<Agent> getAgents() {
        return branch.get().agents
    }

    List<Limit> getLimits() {
        return branch.get().limits
    }

    /** What a branch of `parallel` begins with; called in the thread of the branch. */
    void enter(Branch parent) {
        branch.set(new Branch(parent))
    }

    Branch getBranch() {
        return branch.get()
    }

    /** A line of the console, with secrets masked as the credentials plugin does. */
    synchronized void println(String text) {
        for (String line in text.split('\n', -1)) {
            String masked = line
            secrets.values().each { masked = masked.replace(it, '****') }
            log.println(masked)
            lines.add(masked)
            List patterns = [scenario.abortAt].flatten().findAll()
            if (aborts < patterns.size() && masked =~ patterns[aborts]) {
                aborts++
            }
            if (scenario.agentLostAt && !lost && masked =~ scenario.agentLostAt) {
                lost = agents.last().name
            }
        }
    }

    /** A name that is neither a local variable nor a step. */
    Object global(String name, Script caller) {
        switch (name) {
            case 'env': return env
            case 'params': return Collections.unmodifiableMap(new LinkedHashMap(parameters))
            case 'currentBuild': return currentBuild
            case 'scm': return 'scm'
            default:
                if (sources.has(name)) {
                    return sources.variable(name, caller)
                }
                throw new MissingPropertyException("No such property: ${name}")
        }
    }

    /** The environment as a process or env.X sees it here. */
    Map<String, String> environment() {
        Map<String, String> found = [
            BUILD_NUMBER: "${number}" as String,
            BUILD_URL: "http://jenkins.example.com/job/${job}/${number}/" as String,
            JOB_NAME: job,
            BUILD_TAG: "jenkins-${job}-${number}" as String,
            JENKINS_URL: 'http://jenkins.example.com/',
        ]
        found.putAll(scenario.env ?: [:])
        if (agents) {
            found.putAll(agents.last().environment())
        }
        found.putAll(overrides)
        contexts.each { found.putAll(it) }
        return found
    }

    Agent allocate() {
        List names = scenario.agents ?: ['agent-1']
        String name = names[allocated++ % names.size()]
        return new Agent(this, name)
    }

    /** What is there to interrupt the step that runs now; null when it may go on. */
    String interruption() {
        if (branch.get().seenAborts < aborts) {
            branch.get().seenAborts++
            return 'Aborted by the harness'
        }
        for (Limit limit in limits) {
            String fired = limit.fires(secondGrace)
            if (fired) {
                return fired
            }
        }
        return null
    }

    Map outcome() {
        return [
            name: scenario.name, result: result, description: description, error: error, stages: stages, junit: junit,
            inputs: inputs, called: called, stepsRun: stepsRun, parameters: parameters, log: lines.join('\n'), environment: overrides, stashes: stashes.keySet() as List,
            seconds: (System.currentTimeMillis() - started) / 1000,
            artifacts: filesIn(artifacts),
        ]
    }

    static List<String> filesIn(File folder) {
        List<String> found = []
        folder.eachFileRecurse { if (it.file) { found << folder.toPath().relativize(it.toPath()).toString() } }
        return found.sort()
    }
}
