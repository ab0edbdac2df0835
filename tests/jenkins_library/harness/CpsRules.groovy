import org.codehaus.groovy.ast.ClassCodeExpressionTransformer
import org.codehaus.groovy.ast.ClassHelper
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.DynamicVariable
import org.codehaus.groovy.ast.FieldNode
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.Parameter
import org.codehaus.groovy.ast.PropertyNode
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.BlockStatement
import org.codehaus.groovy.ast.stmt.EmptyStatement
import org.codehaus.groovy.ast.stmt.ExpressionStatement
import org.codehaus.groovy.ast.stmt.ForStatement
import org.codehaus.groovy.ast.stmt.Statement
import org.codehaus.groovy.ast.stmt.TryCatchStatement
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.control.CompilePhase
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.CompilationCustomizer

/** Rewrites library code and Jenkinsfiles so that Rules sees their local variables and their method calls. */
class CpsRules extends CompilationCustomizer {
    private static final ClassNode RULES = ClassHelper.make(Rules)

    CpsRules() {
        super(CompilePhase.CANONICALIZATION)
    }

    @Override
    void call(SourceUnit source, GeneratorContext context, ClassNode type) {
        Rewriter rewriter = new Rewriter(source)
        for (MethodNode method in type.methods) {
            if (method.synthetic || method.name == 'main' || !(method.code instanceof Statement)) {
                continue
            }
            boolean nonCps = method.annotations.any { it.classNode.name == 'com.cloudbees.groovy.cps.NonCPS' }
            rewriter.keeps = !nonCps
            method.code.visit(rewriter)
            method.code = nonCps
                ? around(method.code, [call('enterUntransformed')], call('leaveUntransformed'))
                : framed(method.code, "${type.name}.${method.name}", method.parameters)
        }
    }

    static Statement framed(Statement code, String name, Parameter[] parameters) {
        List<Statement> first = [call('enter', new ConstantExpression(name))]
        for (Parameter parameter in parameters) {
            first << call('keep', new ConstantExpression(parameter.name), new VariableExpression(parameter))
        }
        return around(code, first, call('leave'))
    }

    private static Statement around(Statement code, List<Statement> first, Statement last) {
        TryCatchStatement guarded = new TryCatchStatement(code, block(code, [last]))
        return block(code, first + [guarded])
    }

    static BlockStatement block(Statement code, List<Statement> statements) {
        return code instanceof BlockStatement
            ? new BlockStatement(statements, code.variableScope)
            : new BlockStatement(statements, new org.codehaus.groovy.ast.VariableScope())
    }

    static Statement call(String name, Expression... arguments) {
        return new ExpressionStatement(expression(name, arguments))
    }

    static Expression expression(String name, Expression... arguments) {
        return new StaticMethodCallExpression(RULES, name, new ArgumentListExpression(arguments))
    }

    private static class Rewriter extends ClassCodeExpressionTransformer {
        final SourceUnit sourceUnit
        boolean keeps = true

        Rewriter(SourceUnit sourceUnit) {
            this.sourceUnit = sourceUnit
        }

        @Override
        void visitForLoop(ForStatement loop) {
            super.visitForLoop(loop)
            if (keeps && loop.variable != ForStatement.FOR_LOOP_DUMMY) {
                Statement keep = CpsRules.call('keep', new ConstantExpression(loop.variable.name),
                    new VariableExpression(loop.variable))
                loop.loopBlock = CpsRules.block(loop.loopBlock, [keep, loop.loopBlock])
            }
        }

        @Override
        Expression transform(Expression given) {
            switch (given) {
                case null:
                    return null
                case ClosureExpression:
                    return closure(given)
                case DeclarationExpression:
                    return declaration(given)
                case BinaryExpression:
                    return binary(given)
                case MethodCallExpression:
                    return methodCall(given)
                case StaticMethodCallExpression:
                    return staticCall(given.ownerType, given.method, given.arguments, given)
                case ConstructorCallExpression:
                    if (!given.specialCall && !(given.type.name in Rules.ALLOWED_NEW)) {
                        wrong(given, "new ${given.type.name}: not known to be allowed in Jenkins' Groovy sandbox")
                    }
                    return super.transform(given)
                case PropertyExpression:
                    return property(given)
                default:
                    return super.transform(given)
            }
        }

        private Expression closure(ClosureExpression given) {
            given.code.visit(this)
            if (keeps) {
                given.code = CpsRules.framed(given.code, "a closure in line ${given.lineNumber}",
                    (given.parameters ?: []) as Parameter[])
            }
            return given
        }

        private Expression declaration(DeclarationExpression given) {
            if (given.multipleAssignmentDeclaration) {
                wrong(given, 'several variables declared at once: the harness does not follow them')
                return given
            }
            Expression value = transform(given.rightExpression)
            if (keeps && !(given.rightExpression instanceof EmptyExpression)) {
                value = kept(given.variableExpression.name, value)
            }
            Expression made = new DeclarationExpression(given.leftExpression, given.operation, value)
            made.addAnnotations(given.annotations)
            made.sourcePosition = given
            return made
        }

        private Expression binary(BinaryExpression given) {
            boolean assigns = given.operation.text == '='
            Expression left = assigns ? target(given.leftExpression) : transform(given.leftExpression)
            Expression right = transform(given.rightExpression)
            if (assigns && keeps && isLocal(left)) {
                right = kept(left.name, right)
            }
            Expression made = new BinaryExpression(left, given.operation, right)
            made.sourcePosition = given
            return made
        }

        /** The left side of an assignment is not read. */
        private Expression target(Expression left) {
            if (left instanceof PropertyExpression) {
                Expression made = new PropertyExpression(transform(left.objectExpression), left.property)
                made.sourcePosition = left
                return made
            }
            return left instanceof VariableExpression ? left : super.transform(left)
        }

        private static boolean isLocal(Expression left) {
            if (!(left instanceof VariableExpression)) {
                return false
            }
            def variable = left.accessedVariable
            return !(variable instanceof DynamicVariable || variable instanceof FieldNode || variable instanceof PropertyNode)
        }

        private static Expression kept(String name, Expression value) {
            return CpsRules.expression('keep', new ConstantExpression(name), value)
        }

        private Expression methodCall(MethodCallExpression given) {
            Expression on = given.objectExpression
            checkClosures(given)
            boolean ours = given.implicitThis || (on instanceof VariableExpression && on.name in ['this', 'super'])
            if (ours) {
                return super.transform(given)
            }
            if (on instanceof ClassExpression) {
                return staticCall(on.type, given.methodAsString, given.arguments, given)
            }
            if (given.spreadSafe) {
                wrong(given, 'the operator *. is not followed by the harness')
            }
            return placed(given, 'call', transform(on), transform(given.method),
                new ConstantExpression(given.safe, true), array(given.arguments))
        }

        private Expression staticCall(ClassNode type, String name, Expression arguments, Expression given) {
            if (type.name == 'Rules') {
                return given
            }
            return placed(given, 'callStatic', new ClassExpression(type), new ConstantExpression(name), array(arguments))
        }

        private Expression property(PropertyExpression given) {
            Expression on = given.objectExpression
            if (on instanceof ClassExpression || (on instanceof VariableExpression && on.name in ['this', 'super'])) {
                return super.transform(given)
            }
            return placed(given, 'read', transform(on), transform(given.property),
                new ConstantExpression(given.safe, true))
        }

        private static Expression placed(Expression given, String name, Expression... arguments) {
            Expression made = CpsRules.expression(name, arguments)
            made.sourcePosition = given
            return made
        }

        private Expression array(Expression arguments) {
            List<Expression> all = arguments instanceof TupleExpression ? arguments.expressions : [arguments]
            List<Expression> found = all.collect {
                it instanceof NamedArgumentListExpression
                    ? new MapExpression(it.mapEntryExpressions.collect { entry -> transform(entry) })
                    : transform(it)
            }
            return new ArrayExpression(ClassHelper.OBJECT_TYPE, found)
        }

        /** A closure that untransformed code calls cannot pause, and its result may be wrong. */
        private void checkClosures(MethodCallExpression given) {
            Expression on = given.objectExpression
            boolean ours = given.implicitThis || (on instanceof VariableExpression && on.name in ['this', 'super'])
            List<Expression> all = given.arguments instanceof TupleExpression ? given.arguments.expressions : []
            boolean closure = all.any { it instanceof ClosureExpression }
            if (keeps && closure && !ours && !(given.methodAsString in Rules.PAUSABLE)) {
                wrong(given, "${given.methodAsString} { }: Jenkins cannot pause in this closure, and its result may be wrong")
            }
        }

        private void wrong(Expression where, String why) {
            addError("${why}\n", where)
        }
    }
}
