Map call(Map parameters = [:]) {
    return mlopsStep('accept', parameters)
}
