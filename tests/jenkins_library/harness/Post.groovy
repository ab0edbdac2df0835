/** `post { }` */
class Post extends Directive {
    static final List<String> KNOWN = ['always', 'aborted', 'failure', 'success', 'unstable', 'unsuccessful', 'cleanup']
    private final Map<String, Closure> all

    Post(Script script, Map<String, Closure> all) {
        super(script)
        this.all = all
    }

    @Override
    Object methodMissing(String name, Object arguments) {
        if (!(name in KNOWN)) {
            throw new Strict("${name}: no condition of post { } that the harness knows")
        }
        all[name] = (arguments as List)[0] as Closure
        return null
    }
}
