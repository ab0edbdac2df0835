// What the linter must find. If it does not, its rules for Jenkins are off, and its silence about the rest says nothing.
List call(List given) {
    Iterator kept = given.iterator()
    echo("${{ -> kept }}")
    return given.sort { a, b -> a <=> b }
}

class Helper {

    String name

}
