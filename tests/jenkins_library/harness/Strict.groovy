/** A mistake that Jenkins would punish, or that would work by accident only. It fails the scenario. */
class Strict extends RuntimeException {
    Strict(String message) {
        super(message)
    }
}
