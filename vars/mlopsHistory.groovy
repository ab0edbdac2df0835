Map call(Map parameters = [:]) {
    return mlopsStep('history', parameters)
}
