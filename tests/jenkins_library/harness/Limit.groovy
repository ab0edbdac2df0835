/** A `timeout` block that is open. */
class Limit {
    private final long end
    private int fired

    Limit(double seconds) {
        end = System.currentTimeMillis() + (long) (seconds * 1000)
    }

    boolean isOver() {
        return fired > 0
    }

    String fires(double secondGrace) {
        long now = System.currentTimeMillis()
        if (fired == 0 && now >= end) {
            fired = 1
            return 'Timeout has been exceeded'
        }
        if (fired == 1 && now >= end + (long) (secondGrace * 1000)) {
            fired = 2
            return 'Body did not finish within grace period; terminating with extreme prejudice'
        }
        return null
    }
}
