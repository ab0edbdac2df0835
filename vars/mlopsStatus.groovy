Map call(Map parameters = [:]) {
    return mlopsStep('status', parameters)
}
