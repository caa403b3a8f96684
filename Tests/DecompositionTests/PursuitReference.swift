/// The pursuits of methods.md, section 3, written down as they are defined: dense, in double, without any sharing.
enum PursuitReference {
  struct State {
    var support: [Int] = []
    var code: [Double]
    var residual: [Double]
  }

  /// States after each step.
  static func gradient(_ vector: [Float], _ rows: [[Double]], steps: Int, signed: Bool) -> [State] {
    run(vector, rows, steps, signed) { state, projections in
      var g = [Double](repeating: 0, count: rows.count)
      for atom in state.support { g[atom] = projections[atom] }
      let t = product(g, rows)
      let length = dot(t, state.residual) / dot(t, t)
      for atom in rows.indices {
        state.code[atom] += length * g[atom]
        if !signed { state.code[atom] = max(state.code[atom], 0) }
      }
    }
  }

  /// States after each step; the non-negative solution is the best feasible one among all subsets of the support.
  static func matching(_ vector: [Float], _ rows: [[Double]], steps: Int, signed: Bool) -> [State] {
    let target = vector.map(Double.init)
    return run(vector, rows, steps, signed) { state, _ in
      if signed {
        for (atom, value) in leastSquares(target, state.support, rows) { state.code[atom] = value }
        return
      }
      var best = (error: Double.infinity, code: state.code)
      for subset in 0..<1 << state.support.count {
        let atoms = state.support.indices.filter { subset >> $0 & 1 == 1 }.map { state.support[$0] }
        let solution = leastSquares(target, atoms, rows)
        guard solution.allSatisfy({ $0.value >= 0 }) else { continue }
        var code = [Double](repeating: 0, count: rows.count)
        for (atom, value) in solution { code[atom] = value }
        let residual = zip(target, product(code, rows)).map { $0 - $1 }
        let error = dot(residual, residual)
        if error < best.error { best = (error, code) }
      }
      state.code = best.code
    }
  }

  private static func run(
    _ vector: [Float], _ rows: [[Double]], _ steps: Int, _ signed: Bool, _ fit: (inout State, [Double]) -> Void
  ) -> [State] {
    let target = vector.map(Double.init)
    var state = State(code: Array(repeating: 0, count: rows.count), residual: target)
    return (0..<steps).map { _ in
      let projections = rows.map { dot($0, state.residual) }
      let left = rows.indices.filter { !state.support.contains($0) }
      let score = { (atom: Int) in signed ? abs(projections[atom]) : projections[atom] }
      if let atom = left.max(by: { (score($0), -$0) < (score($1), -$1) }), score(atom) > 0 {
        state.support.append(atom)
        fit(&state, projections)
        state.residual = zip(target, product(state.code, rows)).map { $0 - $1 }
      }
      return state
    }
  }

  static func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

  private static func product(_ code: [Double], _ rows: [[Double]]) -> [Double] {
    var sum = [Double](repeating: 0, count: rows[0].count)
    for (value, row) in zip(code, rows) where value != 0 {
      for index in sum.indices { sum[index] += value * row[index] }
    }
    return sum
  }

  /// Normal equations by elimination.
  private static func leastSquares(_ target: [Double], _ atoms: [Int], _ rows: [[Double]]) -> [(
    key: Int, value: Double
  )] {
    var a = atoms.map { first in atoms.map { dot(rows[first], rows[$0]) } + [dot(rows[first], target)] }
    for pivot in atoms.indices {
      for row in atoms.indices where row != pivot {
        let factor = a[row][pivot] / a[pivot][pivot]
        for column in a[row].indices { a[row][column] -= factor * a[pivot][column] }
      }
    }
    return atoms.indices.map { (atoms[$0], a[$0][atoms.count] / a[$0][$0]) }
  }
}
