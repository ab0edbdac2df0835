/** `env`. */
class Environment implements InJenkins {
    private final Build build

    Environment(Build build) {
        this.build = build
    }

    Object getProperty(String name) {
        return name == 'metaClass' ? super.metaClass : build.environment()[name]
    }

    void setProperty(String name, Object value) {
        // As in Jenkins: null becomes a text.
        build.overrides[name] = String.valueOf(value)
    }
}
