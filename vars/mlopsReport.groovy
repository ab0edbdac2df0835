Map call(Map parameters = [:]) {
    return mlopsStep('report', parameters)
}
