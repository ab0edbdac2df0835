Map call(Map parameters = [:]) {
    return mlopsStep('test', parameters)
}
