Map call(Map parameters = [:]) {
    return mlopsStep('api-deploy', parameters)
}
