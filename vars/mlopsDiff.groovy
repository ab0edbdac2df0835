Map call(Map parameters = [:]) {
    return mlopsStep('diff', parameters)
}
