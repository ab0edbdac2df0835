package org.jenkinsci.plugins.workflow.steps

/** What a step throws that was aborted. */
class FlowInterruptedException extends InterruptedException {
    FlowInterruptedException(String message) {
        super(message)
    }
}
