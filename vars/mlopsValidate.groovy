Map call(Map parameters = [:]) {
    return mlopsStep('validate', parameters)
}
