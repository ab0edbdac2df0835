Map call(Map parameters = [:]) {
    return mlopsStep('api-test', parameters)
}
