Map call(Map parameters = [:]) {
    return mlopsStep('smoke-test', parameters)
}
