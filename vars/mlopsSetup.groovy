import groovy.json.JsonOutput

Map call(Map parameters = [:]) {
    String folder = (env.WORKSPACE_TMP ?: env.WORKSPACE + '@tmp') + '/mlops-steps'
    for (String name in ['bootstrap.py', 'requirements.txt']) {
        writeFile(file: "${folder}/${name}", encoding: 'UTF-8', text: libraryResource("mlops-steps/${name}"))
    }
    String library = parameters.library ?: 'mlops-steps'
    String loaded = env."library.${library}.version" ?: ''
    String request = JsonOutput.toJson([version: mlopsStep.version(), loaded: loaded, parameters: parameters])
    Map ended = [:]
    withEnv(['MLOPS_SETUP=' + request, 'MLOPS_PYTHON=' + (parameters.python ?: '')]) {
        ended = mlopsStep.lines(libraryResource('mlops-steps/bootstrap.sh'), 'mlops-steps: set up')
    }
    if (ended.exit != '0') {
        error("mlopsSetup: ${ended.problem ?: 'the bootstrap was interrupted'}")
    }
    return ended
}
