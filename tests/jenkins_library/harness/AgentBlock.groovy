/** `agent { }` */
class AgentBlock extends Directive {
    String label

    AgentBlock(Script script) {
        super(script)
    }

    void label(String label) {
        this.label = label
    }
}
