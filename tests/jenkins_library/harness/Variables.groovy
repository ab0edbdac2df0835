/** `environment { }` */
class Variables extends Directive {
    private final Map<String, Object> all

    Variables(Script script, Map<String, Object> all) {
        super(script)
        this.all = all
    }

    @Override
    void setProperty(String name, Object value) {
        all[name] = value
    }
}
