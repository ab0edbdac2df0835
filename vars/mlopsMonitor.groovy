Map call(Map parameters = [:]) {
    return mlopsStep('monitor', parameters)
}
