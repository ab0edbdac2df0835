Map call(Map parameters = [:]) {
    return mlopsStep('plan', parameters)
}
