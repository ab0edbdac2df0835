/** Marks what stands for an object of Jenkins. */
interface InJenkins {
}
