Map call(Map parameters = [:]) {
    return mlopsStep('api-rollback', parameters)
}
