/// Least squares on a support that grows by one atom at a time, through the Cholesky factor of its Gram matrix; with or
/// without the constraint that no coefficient is negative (Lawson and Hanson 1974, restricted to the support).
struct SupportLeastSquares: Sendable {
  /// One coefficient an atom, in the order in which they came.
  private(set) var solution: [Double] = []
  /// Inner products of the atoms: row i has those with atoms 0...i.
  private var gram: [[Double]] = []
  /// Inner products of the atoms with the vector.
  private var correlations: [Double] = []
  /// The atoms that are not held at 0, in the order of the factor's rows.
  private var free: [Int] = []
  /// The lower triangle L with L L^T = the free atoms' Gram matrix.
  private var factor: [[Double]] = []

  /// Takes in an atom and solves again.
  ///
  /// - Parameters:
  ///   - products: with the atoms so far, and with itself last.
  ///   - correlation: with the vector.
  /// - Returns: false, and nothing is changed, where the atom lies in the span of the free ones.
  mutating func append(products: [Double], correlation: Double, isSigned: Bool) -> Bool {
    let before = self
    gram.append(products)
    correlations.append(correlation)
    solution.append(0)
    guard release(gram.count - 1) else {
      self = before
      return false
    }
    if isSigned {
      for (atom, value) in zip(free, solvedFree()) { solution[atom] = value }
    } else {
      solveNonNegative()
    }
    return true
  }

  private func product(_ a: Int, _ b: Int) -> Double { a < b ? gram[b][a] : gram[a][b] }

  /// Makes an atom free: adds its row to the factor. False where it depends on those that are free already.
  private mutating func release(_ atom: Int) -> Bool {
    var row: [Double] = []
    var rest = product(atom, atom)
    for (index, other) in free.enumerated() {
      var value = product(atom, other)
      for column in 0..<index { value -= factor[index][column] * row[column] }
      value /= factor[index][index]
      row.append(value)
      rest -= value * value
    }
    guard rest > 1e-10 * product(atom, atom) else { return false }
    factor.append(row + [rest.squareRoot()])
    free.append(atom)
    return true
  }

  /// The unconstrained solution on the free atoms, in their order.
  private func solvedFree() -> [Double] {
    var x = free.map { correlations[$0] }
    for row in x.indices {
      for column in 0..<row { x[row] -= factor[row][column] * x[column] }
      x[row] /= factor[row][row]
    }
    for row in x.indices.reversed() {
      for below in row + 1..<x.count { x[row] -= factor[below][row] * x[below] }
      x[row] /= factor[row][row]
    }
    return x
  }

  /// Lawson and Hanson's loop from the last solution on. Each round lowers the error, so that none comes twice; the
  /// bound holds off rounding.
  private mutating func solveNonNegative() {
    for _ in 0..<3 * gram.count + 3 {
      let target = solvedFree()
      if target.allSatisfy({ $0 > 0 }) {
        for (atom, value) in zip(free, target) { solution[atom] = value }
        guard releaseSteepest() else { return }
      } else {
        moveToBoundary(target)
      }
    }
    // Not settled: what the last round left is feasible.
    for atom in free where solution[atom] < 0 { solution[atom] = 0 }
  }

  /// Moves towards the target as far as all stay non-negative, and holds those that reached 0.
  private mutating func moveToBoundary(_ target: [Double]) {
    // How far each may go: to where it is 0, if it shrinks to or below that.
    let limits = zip(free, target).map { atom, value in
      value > 0 ? .infinity : solution[atom] > 0 ? solution[atom] / (solution[atom] - value) : 0
    }
    let length = min(1, limits.min() ?? 1)
    var kept: [Int] = []
    for (index, atom) in free.enumerated() {
      if limits[index] <= length {
        solution[atom] = 0
      } else {
        solution[atom] = max(0, solution[atom] + length * (target[index] - solution[atom]))
        kept.append(atom)
      }
    }
    free = []
    factor = []
    for atom in kept where !release(atom) { solution[atom] = 0 }
  }

  /// Frees the held atom whose coefficient would grow most; false where none would.
  private mutating func releaseSteepest() -> Bool {
    var best: (atom: Int, slope: Double)?
    let scale = correlations.map(abs).max() ?? 0
    for atom in gram.indices where !free.contains(atom) {
      var slope = correlations[atom]
      for other in free { slope -= product(atom, other) * solution[other] }
      if slope > 1e-10 * scale, slope > best?.slope ?? 0 { best = (atom, slope) }
    }
    return best.map { release($0.atom) } ?? false
  }
}
