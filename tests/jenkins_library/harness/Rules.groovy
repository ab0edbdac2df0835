import org.codehaus.groovy.runtime.InvokerHelper

/**
 * What Jenkins adds to Groovy: local variables must be serializable whenever a step is called, @NonCPS code calls no
 * steps, and in the Groovy sandbox only known methods may be called. CpsRules makes library code call in here.
 */
class Rules {
    /** Methods that library code calls, each allowed by Jenkins' script security. Look there before you add one. */
    static final Map<Class, List<String>> ALLOWED = [
        (CharSequence): ['indexOf', 'substring', 'split', 'readLines', 'trim', 'tokenize', 'startsWith', 'contains', 'replace'],
        (Collection): ['join', 'contains', 'size', 'isEmpty', 'add', 'get', 'collect', 'each', 'findAll', 'find', 'any',
                       'every', 'toList'],
        (Map): ['get', 'containsKey', 'keySet', 'values', 'size', 'isEmpty', 'put', 'collect', 'each', 'findAll'],
        (Throwable): ['getMessage'],
        (groovy.json.JsonSlurper): ['parseText'],
    ]
    static final Map<String, List<String>> ALLOWED_STATIC = [
        'groovy.json.JsonOutput': ['toJson'], 'java.lang.System': ['currentTimeMillis'],
    ]
    static final List<String> ALLOWED_NEW = ['groovy.json.JsonSlurper']
    /** Methods of collections whose closures Jenkins can pause; the others call back from untransformed code. */
    static final List<String> PAUSABLE = ['each', 'eachWithIndex', 'collect', 'collectEntries', 'find', 'findAll', 'any',
                                          'every', 'inject']

    private static final ThreadLocal<List<Map>> FRAMES = ThreadLocal.withInitial { [] }
    private static final ThreadLocal<Integer> UNTRANSFORMED = ThreadLocal.withInitial { 0 }

    static void reset() {
        FRAMES.get().clear()
        UNTRANSFORMED.set(0)
    }

    /** The local variables of the calls that are open. */
    static List<Map> frames() {
        return FRAMES.get().collect { new LinkedHashMap(it) }
    }

    /** A branch keeps those around it too. */
    static void enterBranch(List<Map> frames) {
        FRAMES.get().addAll(frames)
    }

    static void enter(String what) {
        if (UNTRANSFORMED.get() > 0) {
            throw new Strict("${what}: @NonCPS code calls code that Jenkins transforms")
        }
        FRAMES.get().add(['$': what])
    }

    static void leave() {
        List frames = FRAMES.get()
        if (frames) {
            frames.remove(frames.size() - 1)
        }
    }

    static void enterUntransformed() {
        UNTRANSFORMED.set(UNTRANSFORMED.get() + 1)
    }

    static void leaveUntransformed() {
        UNTRANSFORMED.set(UNTRANSFORMED.get() - 1)
    }

    /** Remembers the value of a local variable, and returns it. */
    static Object keep(String name, Object value) {
        List<Map> frames = FRAMES.get()
        Map frame = frames.reverse().find { it.containsKey(name) } ?: (frames ? frames.last() : null)
        if (frame != null) {
            frame[name] = value
        }
        return value
    }

    /** What must hold whenever a step is called: here Jenkins may write the program to disk. */
    static void atStep(String step) {
        if (UNTRANSFORMED.get() > 0) {
            throw new Strict("${step}: @NonCPS code calls a step")
        }
        for (Map frame in FRAMES.get()) {
            frame.each { name, value ->
                String problem = whyNotSerializable(value)
                if (problem) {
                    throw new Strict("${step}: the variable ${name} of ${frame['$']} is kept across the step, but " +
                        "${problem} is not serializable")
                }
            }
        }
    }

    /** The class that cannot be serialized; null when all of the value can. */
    static String whyNotSerializable(Object value) {
        if (value == null || value instanceof String || value instanceof Number || value instanceof Boolean) {
            return null
        }
        try {
            new Replacing(new ByteArrayOutputStream()).writeObject(value)
            return null
        } catch (NotSerializableException problem) {
            return problem.message
        }
    }

    static Object call(Object receiver, String name, boolean safe, Object[] arguments) {
        if (receiver == null && safe) {
            return null
        }
        if (!(receiver instanceof Script || receiver instanceof InJenkins || receiver instanceof Closure)) {
            Class type = ALLOWED.keySet().find { it.isInstance(receiver) }
            if (receiver != null && !(type && name in ALLOWED[type])) {
                throw new Strict("${receiver.getClass().name}.${name}: not known to be allowed in Jenkins' Groovy sandbox")
            }
        }
        return InvokerHelper.invokeMethod(receiver, name, arguments)
    }

    static Object callStatic(Class type, String name, Object[] arguments) {
        if (!(name in (ALLOWED_STATIC[type.name] ?: []))) {
            throw new Strict("${type.name}.${name}: not known to be allowed in Jenkins' Groovy sandbox")
        }
        if (name == 'toJson' && !(arguments[0] instanceof Map || arguments[0] instanceof String)) {
            throw new Strict('JsonOutput.toJson is allowed for a Map and a String only')
        }
        return InvokerHelper.invokeStaticMethod(type, name, arguments)
    }

    static Object read(Object receiver, String name, boolean safe) {
        if (receiver == null && safe) {
            return null
        }
        boolean known = receiver instanceof Map || receiver instanceof Script || receiver instanceof InJenkins ||
            receiver instanceof Closure || (receiver instanceof Throwable && name in ['message', 'class']) ||
            (receiver instanceof Class && name == 'simpleName')
        if (receiver != null && !known) {
            throw new Strict("${receiver.getClass().name}.${name}: not known to be allowed in Jenkins' Groovy sandbox")
        }
        return InvokerHelper.getProperty(receiver, name)
    }
}
