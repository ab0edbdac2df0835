/** `currentBuild`. */
class CurrentBuild implements InJenkins {
    private final Build build

    CurrentBuild(Build build) {
        this.build = build
    }

    String getDescription() {
        return build.description
    }

    void setDescription(String text) {
        build.description = text
    }

    String getResult() {
        return build.result
    }

    void setResult(String result) {
        build.worse(result)
    }

    String getCurrentResult() {
        return build.result ?: 'SUCCESS'
    }

    int getNumber() {
        return build.number
    }

    /** As Jenkins exports them: https://javadoc.jenkins.io/hudson/model/Cause.html. */
    List<Map> getBuildCauses() {
        return build.causes
    }
}
