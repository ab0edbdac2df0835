import java.lang.annotation.Retention
import java.lang.annotation.RetentionPolicy

/** What a Jenkinsfile begins with; the harness has its library loaded already. */
@Retention(RetentionPolicy.SOURCE)
@interface Library {
    String[] value() default []
}
