internal import SparseAutoencoders

/// L0 and the overlap with the zero vector's code as exact step functions of the coefficient, over the whole axis.
package struct CoefficientAxis: Sendable, Equatable {
  /// Where each step begins, rising: the first at the lowest number there is. Both functions are constant to just below the next.
  package var starts: [Float]
  /// L0 of the code from there on.
  package var l0: [Int]
  /// The share of the active features that are active for the zero vector too; nan where none is active.
  package var zeroOverlap: [Float]

  /// Nil for SAEs whose features have no intervals of their own: top-k, and those that normalise each sample.
  ///
  /// Complexity: O(F log F).
  init?(_ ladder: CoefficientLadder) {
    guard let steps = CoefficientSteps(ladder) else { return nil }
    let lowest = -Float.greatestFiniteMagnitude
    starts = steps.starts.first == lowest ? steps.starts : [lowest] + steps.starts
    l0 = starts.map { steps.l0(at: $0) }
    zeroOverlap = starts.map { steps.zeroOverlap(at: $0).map { Float($0) } ?? .nan }
  }

  /// What the axis of a behaviour's vector is called among the tensors of a decomposition: `starts`, `l0` and `zero-overlap`.
  package static func tensor(_ behaviour: String, _ part: String) -> String { "\(behaviour)/coefficient-axis/\(part)" }
}
