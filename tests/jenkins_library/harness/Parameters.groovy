/** `parameters { }` */
class Parameters extends Directive {
    private final List<Map> all

    Parameters(Script script, List<Map> all) {
        super(script)
        this.all = all
    }

    void booleanParam(Map given) {
        add(given, given.defaultValue == true)
    }

    void string(Map given) {
        add(given, given.defaultValue ?: '')
    }

    void choice(Map given) {
        add(given, given.choices[0], 'choices')
    }

    private void add(Map given, Object value, String own = 'defaultValue') {
        List unknown = (given.keySet() - ['name', 'description', own]) as List
        if (unknown || !given.name) {
            throw new Strict("parameters: ${unknown ?: 'no name'}")
        }
        all << [name: given.name, value: value]
    }
}
