/** `stage('…') { }` */
class Stage extends Directive {
    final String name
    Object agent
    Map limit
    When when
    Closure steps
    final List<Stage> inner = []
    final List<String> options = []
    Closure variables
    final Map<String, Closure> post = [:]

    Stage(Script script, String name) {
        super(script)
        this.name = name
    }

    String getAny() {
        return ''
    }

    String getNone() {
        return 'none'
    }

    void agent(Object which) {
        if (which instanceof Closure) {
            AgentBlock block = new AgentBlock(script)
            fill(block, which)
            agent = block.label
        } else {
            agent = which
        }
    }

    void environment(Closure body) {
        variables = body
    }

    void options(Closure body) {
        Options block = new Options(script)
        fill(block, body)
        options.addAll(block.names)
        limit = block.limit
    }

    void post(Closure body) {
        fill(new Post(script, post), body)
    }

    void stages(Closure body) {
        fill(new Stages(script, inner), body)
    }

    void steps(Closure body) {
        steps = body
    }

    void when(Closure body) {
        when = new When(script)
        fill(when, body)
    }

    void requires(String... names) {
        Map there = [agent: agent != null, stages: !inner.empty, steps: steps != null]
        names.each {
            if (!there[it]) {
                throw new Strict("Missing required section \"${it}\" in ${name ?: 'pipeline'}")
            }
        }
    }
}
