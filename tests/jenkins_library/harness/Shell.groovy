import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.jenkinsci.plugins.workflow.support.steps.AgentOfflineException

/** The `sh` step: real processes, stopped as Jenkins stops them. */
class Shell {
    private static int count

    private final Build build
    private final Agent agent
    private final String cookie = "durable-${UUID.randomUUID()}"

    Shell(Build build) {
        this.build = build
        agent = build.agents.last()
    }

    Object run(Map given) {
        File script = new File(agent.temporary, "${cookie}/script.sh")
        script.parentFile.mkdirs()
        script.setText(given.script as String, 'UTF-8')
        script.executable = true
        // Without a line that names an interpreter Jenkins traces each command into the log.
        List<String> command = given.script.startsWith('#!') ? [script.path] : ['/bin/sh', '-xe', script.path]
        ProcessBuilder builder = new ProcessBuilder(command)
        builder.directory(agent.folder)
        builder.environment().clear()
        builder.environment().putAll(build.environment().findAll { it.value != null && isName(it.key) })
        builder.environment().put('JENKINS_SERVER_COOKIE', cookie)
        Process process = builder.start()
        process.outputStream.close()
        StringBuffer output = new StringBuffer()
        String encoding = given.encoding ?: build.scenario.encoding ?: 'UTF-8'
        List<Thread> readers = [
            reading(process.errorStream, encoding) { build.println(it) },
            reading(process.inputStream, encoding) { String line ->
                given.returnStdout ? output.append(line).append('\n') : build.println(line)
            },
        ]
        int code = await(process, readers, output)
        script.parentFile.deleteDir()
        if (code != 0 && !given.returnStatus) {
            throw new hudson.AbortException("script returned exit code ${code}")
        }
        return given.returnStdout ? output.toString() : given.returnStatus ? code : null
    }

    private int await(Process process, List<Thread> readers, StringBuffer output) {
        while (process.alive || readers.any { it.alive }) {
            Branch.waiting { Thread.sleep(20) }
            if (build.lost == agent.name) {
                alive("JENKINS_SERVER_COOKIE=${cookie}").each { ['kill', '-KILL', it].execute().waitFor() }
                throw new AgentOfflineException("Unable to create live FilePath for ${agent.name}")
            }
            String why = build.interruption()
            if (why) {
                build.println(why)
                if (!why.startsWith('Body did not finish')) {
                    stop(process)
                    if (!process.alive) {
                        readers*.join(2000)
                        if (process.exitValue() == 0) {
                            // Jenkins takes it for a success: the abort is lost.
                            return 0
                        }
                        build.println(output as String)
                    }
                }
                throw new FlowInterruptedException(why)
            }
        }
        return process.exitValue()
    }

    /** SIGTERM for all processes of the step, then a while for them to end. */
    private void stop(Process process) {
        build.println('Sending interrupt signal to process')
        terminate("JENKINS_SERVER_COOKIE=${cookie}")
        long end = System.currentTimeMillis() + (long) (build.grace * 1000)
        while (process.alive && System.currentTimeMillis() < end) {
            Branch.waiting { Thread.sleep(20) }
        }
        if (process.alive || alive("JENKINS_SERVER_COOKIE=${cookie}")) {
            build.println("After ${build.grace}s process did not stop")
        }
    }

    /** SIGTERM for all processes that have this in their environment. */
    static void terminate(String variable) {
        List<String> found = alive(variable)
        if (found) {
            ['kill', '-TERM', *found].execute().waitFor()
        }
    }

    static List<String> alive(String variable) {
        return new File('/proc').list().findAll { it.number }.findAll { String id ->
            try {
                return new File("/proc/${id}/environ").getText('ISO-8859-1').tokenize('\0').contains(variable as String)
            } catch (IOException gone) {
                return false
            }
        }
    }

    private static Thread reading(InputStream stream, String encoding, Closure line) {
        return Thread.start {
            try {
                stream.eachLine(encoding) { line(it) }
            } catch (IOException closed) {
                return
            }
        }
    }

    private static boolean isName(String name) {
        return name ==~ /[A-Za-z_][A-Za-z0-9_]*/
    }
}
