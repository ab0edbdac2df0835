Map call(Map parameters = [:]) {
    return mlopsStep('policy', parameters)
}
