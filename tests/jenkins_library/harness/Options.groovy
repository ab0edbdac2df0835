/** `options { }` */
class Options extends Directive {
    static final List<String> KNOWN = ['buildDiscarder', 'disableConcurrentBuilds', 'preserveStashes', 'skipDefaultCheckout',
                                       'skipStagesAfterUnstable', 'disableResume']
    final List<String> names = []
    Map limit

    Options(Script script) {
        super(script)
    }

    void timeout(Map given) {
        names << 'timeout'
        limit = given
    }

    Map logRotator(Map given) {
        List unknown = (given.keySet() - ['numToKeepStr', 'daysToKeepStr', 'artifactNumToKeepStr', 'artifactDaysToKeepStr']) as List
        if (unknown) {
            throw new Strict("logRotator: has no parameter ${unknown}")
        }
        return given
    }

    @Override
    Object methodMissing(String name, Object arguments) {
        if (!(name in KNOWN)) {
            throw new Strict("${name}: no option that the harness knows")
        }
        names << name
        return null
    }
}
