/** `stages { }` */
class Stages extends Directive {
    private final List<Stage> all

    Stages(Script script, List<Stage> all) {
        super(script)
        this.all = all
    }

    void stage(String name, Closure body) {
        Stage stage = new Stage(script, name)
        fill(stage, body)
        if (stage.inner.empty) {
            stage.requires('steps')
        }
        all << stage
    }
}
