Map call(Map parameters = [:]) {
    return mlopsStep('api-recover', parameters)
}
