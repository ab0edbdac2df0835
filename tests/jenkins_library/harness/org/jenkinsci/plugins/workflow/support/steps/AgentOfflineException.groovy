package org.jenkinsci.plugins.workflow.support.steps

/** What a step throws whose agent is gone for good. */
class AgentOfflineException extends IOException {
    AgentOfflineException(String message) {
        super(message)
    }
}
