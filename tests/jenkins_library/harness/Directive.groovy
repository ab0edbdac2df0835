/** A block of a declarative pipeline. What it does not know is a mistake. */
abstract class Directive {
    final Script script

    Directive(Script script) {
        this.script = script
    }

    static void fill(Directive directive, Closure body) {
        body.delegate = directive
        body.resolveStrategy = Closure.DELEGATE_ONLY
        body.call()
    }

    Object propertyMissing(String name) {
        return script.getProperty(name)
    }

    Object methodMissing(String name, Object arguments) {
        throw new Strict("${name}: not known in ${getClass().simpleName.toLowerCase()} { }")
    }
}
