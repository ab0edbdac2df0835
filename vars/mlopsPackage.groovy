Map call(Map parameters = [:]) {
    return mlopsStep('package', parameters)
}
