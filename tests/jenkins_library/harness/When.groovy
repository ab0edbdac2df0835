/** `when { }`: all conditions have to hold. */
class When extends Directive {
    boolean beforeAgent
    private final List<Closure> expressions = []

    When(Script script) {
        super(script)
    }

    void beforeAgent(boolean value) {
        beforeAgent = value
    }

    void expression(Closure condition) {
        expressions << condition
    }

    boolean holds(Build build) {
        return expressions.every { Closure condition ->
            condition.rehydrate(script, script, script).call()
        }
    }
}
