/** What Jenkins reads in a JUnit report. */
class JunitFile {
    static List<Map> cases(String path, File report, boolean keepsOutput) {
        groovy.util.Node root = new XmlParser().parse(report)
        List<groovy.util.Node> suites = root.name() == 'testsuite' ? [root] : root.children().findAll { it.name() == 'testsuite' }
        return suites.collectMany { groovy.util.Node suite ->
            suite.children().findAll { it instanceof groovy.util.Node && it.name() == 'testcase' }.collect { groovy.util.Node test ->
                groovy.util.Node told = test.children().find {
                    it instanceof groovy.util.Node && it.name() in ['failure', 'error', 'skipped']
                } as groovy.util.Node
                [file: path, classname: test.'@classname', name: test.'@name', status: told?.name() ?: 'passed',
                 message: told?.'@message', keepsOutput: keepsOutput]
            }
        }
    }
}
