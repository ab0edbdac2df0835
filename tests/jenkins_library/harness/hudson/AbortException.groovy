package hudson

/** What a step throws that fails: the message is for people. */
class AbortException extends IOException {
    AbortException(String message) {
        super(message)
    }
}
