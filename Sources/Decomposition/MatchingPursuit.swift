internal import Kernels

/// Orthogonal matching pursuit: at each step the atom that correlates most with the residual joins the support, and the
/// coefficients become the least squares solution on the support (without signs: the non-negative one).
struct MatchingPursuit: Pursuit {
  let isSigned: Bool
  var hasEnded = false
  private(set) var residual: [Float]
  private(set) var support: [Int] = []
  private(set) var coefficients: [Float] = []
  private let vector: [Float]
  private var atoms: [[Float]] = []
  private var squares = SupportLeastSquares()

  init(_ vector: [Float], isSigned: Bool) {
    self.vector = vector
    self.isSigned = isSigned
    residual = vector
  }

  mutating func add(_ atom: Int, row: [Float], gradient: [Float]) {
    let products = (atoms + [row]).map { dotInDouble($0, row) }
    // An atom in the span of the others correlates with the residual only by rounding: what can be explained is
    // explained.
    guard squares.append(products: products, correlation: dotInDouble(row, vector), isSigned: isSigned) else {
      hasEnded = true
      return
    }
    support.append(atom)
    atoms.append(row)
    coefficients = squares.solution.map { Float($0) }
    residual = vector
    for (coefficient, atom) in zip(coefficients, atoms) where coefficient != 0 {
      Kernels.add(-coefficient, atom, to: &residual)
    }
  }
}
