Map call(Map parameters = [:]) {
    return mlopsStep('compare', parameters)
}
