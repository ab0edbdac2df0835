Map call(Map parameters = [:]) {
    return mlopsStep('release', parameters)
}
