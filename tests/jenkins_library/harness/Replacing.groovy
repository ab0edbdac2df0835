import groovy.transform.CompileStatic

/** Closures and scripts are serializable in Jenkins, and what the harness puts in Jenkins' place is too. */
@CompileStatic
class Replacing extends ObjectOutputStream {
    Replacing(OutputStream out) {
        super(out)
        enableReplaceObject(true)
    }

    @Override
    protected Object replaceObject(Object object) {
        return object instanceof Closure || object instanceof Script || object instanceof InJenkins ? 'fine' : object
    }
}
