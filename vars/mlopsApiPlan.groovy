Map call(Map parameters = [:]) {
    return mlopsStep('api-plan', parameters)
}
