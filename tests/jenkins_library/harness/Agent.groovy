/** An agent that works for the build, with its workspace. */
class Agent {
    final Build build
    final String name
    final File workspace
    final String cookie = UUID.randomUUID()
    final List<File> folders = []

    Agent(Build build, String name) {
        this.build = build
        this.name = name
        workspace = new File(build.root, "${name}/workspace/${build.job}").absoluteFile
        workspace.mkdirs()
        temporary.mkdirs()
        folders << workspace
    }

    File getTemporary() {
        return new File("${workspace.path}@tmp")
    }

    File getFolder() {
        return folders.last()
    }

    Map<String, String> environment() {
        return [
            NODE_NAME: name, WORKSPACE: workspace.path, WORKSPACE_TMP: temporary.path, JENKINS_NODE_COOKIE: cookie,
            EXECUTOR_NUMBER: '0',
        ]
    }
}
