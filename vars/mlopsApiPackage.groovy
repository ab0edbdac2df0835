Map call(Map parameters = [:]) {
    return mlopsStep('api-package', parameters)
}
