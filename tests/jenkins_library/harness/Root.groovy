/** `pipeline { }` */
class Root extends Stage {
    final List<Map> build = []

    Root(Script script) {
        super(script, null)
    }

    void parameters(Closure body) {
        fill(new Parameters(script, build), body)
    }
}
