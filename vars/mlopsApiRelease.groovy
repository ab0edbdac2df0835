Map call(Map parameters = [:]) {
    return mlopsStep('api-release', parameters)
}
