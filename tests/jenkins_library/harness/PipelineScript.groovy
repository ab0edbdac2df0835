/** The base class of Jenkinsfiles and of the files in vars/: every unknown name is a step, a library step or an object. */
abstract class PipelineScript extends Script {
    Object methodMissing(String name, Object arguments) {
        return Build.current.steps.invoke(this, name, arguments as List)
    }

    @Override
    Object getProperty(String name) {
        if (name in ['binding', 'metaClass', 'class']) {
            return super.getProperty(name)
        }
        return Build.current.global(name, this)
    }

    @Override
    void setProperty(String name, Object value) {
        if (name in ['binding', 'metaClass']) {
            super.setProperty(name, value)
        } else {
            throw new Strict("${name} = …: a variable of the script; declare it")
        }
    }
}
