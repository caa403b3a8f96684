/// `adamStep` for a matrix and its moments, in place.
package func adamStep(
  _ adam: Adam, step: Int, parameters: inout Matrix, gradient: Matrix, first: inout Matrix, second: inout Matrix,
  pool: ThreadPool
) {
  adamStep(
    adam, step: step, parameters: &parameters.elements, gradient: gradient.elements, first: &first.elements,
    second: &second.elements, pool: pool)
}
