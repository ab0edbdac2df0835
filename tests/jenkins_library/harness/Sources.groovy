import java.lang.reflect.Modifier

import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer

/**
 * The library's files, compiled as Jenkins would compile them. Jenkins loads them anew for each build: here they are
 * compiled once, and what their classes keep is forgotten at the beginning of a build.
 */
class Sources {
    private static final Map<File, Map<String, Class>> COMPILED = [:]
    private static final List<GroovyClassLoader> LOADERS = []

    private final File repository
    private final Map<Script, Map<String, Script>> loaded = new IdentityHashMap<>()
    private final GroovyClassLoader loader

    Sources(File repository) {
        this.repository = repository
        CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: 'PipelineScript')
        ImportCustomizer imports = new ImportCustomizer()
        imports.addImports('com.cloudbees.groovy.cps.NonCPS')
        configuration.addCompilationCustomizers(imports, new CpsRules())
        loader = new GroovyClassLoader(getClass().classLoader, configuration)
        LOADERS*.loadedClasses.flatten().each { forget(it as Class) }
        LOADERS << loader
    }

    private static void forget(Class loaded) {
        loaded.declaredFields.findAll { Modifier.isStatic(it.modifiers) && it.type == String }.each {
            it.accessible = true
            it.set(null, null)
        }
    }

    boolean has(String name) {
        return name ==~ /\w+/ && new File(repository, "vars/${name}.groovy").file
    }

    /** The instance of a file in vars/ that this caller has: each caller gets one of its own, with its own fields. */
    Script variable(String name, Script caller) {
        Map<String, Script> known = loaded.computeIfAbsent(caller) { [:] }
        if (!known[name]) {
            Map<String, Class> classes = COMPILED.computeIfAbsent(repository) { [:] }
            classes[name] = classes[name] ?: loader.parseClass(new File(repository, "vars/${name}.groovy"))
            known[name] = classes[name].newInstance() as Script
        }
        return known[name]
    }

    Script jenkinsfile(String text) {
        return loader.parseClass(text, 'Jenkinsfile.groovy').newInstance() as Script
    }

    String resource(String path) {
        File file = new File(repository, "resources/${path}")
        if (!file.file) {
            throw new hudson.AbortException("No such library resource ${path} could be found.")
        }
        return file.getText('UTF-8')
    }
}
