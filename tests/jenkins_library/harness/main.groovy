import groovy.json.JsonOutput
import groovy.json.JsonSlurper

// Runs the scenarios of a file one after another and writes what came of them to another one.
// Usage: groovy -cp HARNESS HARNESS/main.groovy REPOSITORY SCENARIOS.json OUTCOMES.json
File repository = new File(args[0]).absoluteFile
List outcomes = []
for (Map scenario in new JsonSlurper().parse(new File(args[1]), 'UTF-8')) {
    Build build = new Build(scenario, repository)
    Branch.takeTurn()
    build.run()
    Branch.giveTurn()
    outcomes << build.outcome()
    new File(args[2]).setText(JsonOutput.toJson(outcomes), 'UTF-8')
}
System.exit(0)
