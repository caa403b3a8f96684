internal import Kernels

/// What a pursuit does at each step.
struct PursuitRule: Sendable, Hashable {
  enum Step: Sendable, Hashable {
    /// One step along the gradient on the support.
    case gradient
    /// Least squares on the support.
    case leastSquares
  }
  /// Whether atoms are chosen by absolute correlation and may have negative coefficients.
  var isSigned: Bool
  var step: Step
}

/// One vector's pursuit: grows its support by one atom a step. Pursuits are nested: the state after step k is the code
/// of k atoms.
protocol Pursuit: Sendable {
  /// What the code does not explain yet, `[d]`.
  var residual: [Float] { get }
  /// The atoms in order of choice.
  var support: [Int] { get }
  /// Their coefficients; an atom that was clamped stays in the support with 0.
  var coefficients: [Float] { get }
  var isSigned: Bool { get }
  /// Whether no further step changes anything.
  var hasEnded: Bool { get set }
  /// Takes an atom into the support and fits the coefficients.
  ///
  /// - Parameters:
  ///   - row: the atom, `[d]`.
  ///   - gradient: correlations of the support before, and of the atom last, with the residual.
  mutating func add(_ atom: Int, row: [Float], gradient: [Float])
}

extension Pursuit {
  func code(width: Int) -> SignedCode {
    SignedCode(width: width, zip(support, coefficients).map { (feature: $0, value: $1) })
  }
}

/// Pursuits side by side, sharing one pass over the dictionary a step.
enum PursuitBatch {
  /// Runs each vector's pursuit to the largest sparsity.
  ///
  /// A pursuit ends early where no atom that is left correlates with the residual (positively, if it is not signed):
  /// for the zero vector at once. Larger sparsities then have its last code. Results do not depend on what else is in
  /// the batch.
  ///
  /// Complexity: O(n F d) a step. Memory: O(n F), in groups of pursuits where that would be much.
  /// - Parameter sparsities: rising.
  /// - Returns: for every vector its codes, one a sparsity.
  static func run(
    _ vectors: [(vector: [Float], rule: PursuitRule)], sparsities: [Int], dictionary: UnitDictionary, pool: ThreadPool,
    checkpoint: (Double) throws -> Void
  ) throws -> [[SignedCode]] {
    let groupSize = max(1, (1 << 26) / dictionary.width)
    var codes: [[SignedCode]] = []
    for start in stride(from: 0, to: vectors.count, by: groupSize) {
      let group = vectors[start..<min(start + groupSize, vectors.count)]
      let done = Double(start) / Double(vectors.count)
      let share = Double(group.count) / Double(vectors.count)
      codes += try run(group, sparsities, dictionary, pool) { try checkpoint(done + share * $0) }
    }
    return codes
  }

  private static func run(
    _ vectors: ArraySlice<(vector: [Float], rule: PursuitRule)>, _ sparsities: [Int], _ dictionary: UnitDictionary,
    _ pool: ThreadPool, _ checkpoint: (Double) throws -> Void
  ) throws -> [[SignedCode]] {
    var pursuits: [any Pursuit] = vectors.map { vector, rule in
      switch rule.step {
      case .gradient: GradientPursuit(vector, isSigned: rule.isSigned)
      case .leastSquares: MatchingPursuit(vector, isSigned: rule.isSigned)
      }
    }
    var codes = [[SignedCode]](repeating: [], count: pursuits.count)
    var projections = Matrix(rows: 0, columns: dictionary.width)
    var steps = 0
    for sparsity in sparsities {
      while steps < min(sparsity, dictionary.width) {
        try checkpoint(Double(steps) / Double(min(sparsities.last ?? 1, dictionary.width)))
        step(&pursuits, dictionary, &projections, pool)
        steps += 1
      }
      for index in pursuits.indices { codes[index].append(pursuits[index].code(width: dictionary.width)) }
    }
    return codes
  }

  private static func step(
    _ pursuits: inout [any Pursuit], _ dictionary: UnitDictionary, _ projections: inout Matrix, _ pool: ThreadPool
  ) {
    let running = pursuits.indices.filter { !pursuits[$0].hasEnded }
    guard !running.isEmpty else { return }
    let residuals = Matrix(running.map { pursuits[$0].residual }, columns: dictionary.dimension)
    dictionary.project(residuals, into: &projections, pool: pool)
    for (row, index) in running.enumerated() {
      let support = pursuits[index].support
      var gradient = support.map { projections[row, $0] }
      for atom in support { projections[row, atom] = 0 }
      let left = row * dictionary.width..<(row + 1) * dictionary.width
      let correlations = projections.elements.span.extracting(left)
      let best = pursuits[index].isSigned ? topKByMagnitude(correlations, 1) : topK(correlations, 1)
      guard let atom = best.first, pursuits[index].isSigned ? correlations[atom] != 0 : correlations[atom] > 0 else {
        pursuits[index].hasEnded = true
        continue
      }
      gradient.append(correlations[atom])
      pursuits[index].add(atom, row: dictionary.row(atom, pool: pool), gradient: gradient)
    }
  }
}
