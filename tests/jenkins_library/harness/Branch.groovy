import java.util.concurrent.locks.ReentrantLock

/**
 * What holds in one branch of a pipeline: its agent, its environment, its limits. Branches take turns, as in Jenkins: only
 * one runs Groovy at a time, and another goes on while a step of it waits.
 */
class Branch {
    private static final ReentrantLock TURN = new ReentrantLock(true)

    final List<Map<String, String>> contexts = []
    final List<Agent> agents = []
    final List<Limit> limits = []
    int seenAborts

    Branch() {
    }

    Branch(Branch parent) {
        contexts.addAll(parent.contexts)
        agents.addAll(parent.agents)
        limits.addAll(parent.limits)
        seenAborts = parent.seenAborts
    }

    static void takeTurn() {
        TURN.lock()
    }

    static void giveTurn() {
        TURN.unlock()
    }

    /** Lets the others run meanwhile. */
    static Object waiting(Closure body) {
        TURN.unlock()
        try {
            return body.call()
        } finally {
            TURN.lock()
        }
    }
}
