Map call(Map parameters = [:]) {
    return mlopsStep('recover', parameters)
}
