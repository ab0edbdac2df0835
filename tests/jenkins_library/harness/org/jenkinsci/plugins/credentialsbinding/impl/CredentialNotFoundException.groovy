package org.jenkinsci.plugins.credentialsbinding.impl

import hudson.AbortException

/** What withCredentials throws for an id that nobody has stored. */
class CredentialNotFoundException extends AbortException {
    CredentialNotFoundException(String message) {
        super(message)
    }
}
