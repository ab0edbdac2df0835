Map call(Map parameters = [:]) {
    return mlopsStep('deploy', parameters)
}
