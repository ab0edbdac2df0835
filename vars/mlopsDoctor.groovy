Map call(Map parameters = [:]) {
    return mlopsStep('doctor', parameters)
}
