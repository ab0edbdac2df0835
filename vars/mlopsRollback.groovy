Map call(Map parameters = [:]) {
    return mlopsStep('rollback', parameters)
}
