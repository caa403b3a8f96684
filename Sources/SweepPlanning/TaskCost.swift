/// What work costs, in seconds of one nominal core: it fixes where the plan cuts tasks, so it depends on nothing but the plan.
struct TaskCost {
  /// Floating-point operations per second of the nominal core, at the share of its peak that these jobs reach.
  static let rate = 4e10
  /// The seconds that a slice aims at.
  static let target = 20.0
  /// The seconds that no slice exceeds which could be cut (protocol.md, point 1).
  static let limit = 600.0

  let model: ResolvedSweep.Model

  /// Seconds to run `tokens` through the first `blocks` blocks.
  func blocks(_ blocks: Int, tokens: Double) -> Double {
    2 * Double(model.blockParameters) * Double(blocks) / Double(max(model.layers, 1)) * tokens / Self.rate
  }

  /// Seconds for the whole unembedding at `rows` positions.
  func unembedding(rows: Double) -> Double {
    2 * Double(model.vocabulary) * Double(model.dimension) * rows / Self.rate
  }

  /// Seconds for so many vectors through an SAE's encoder, or as many passes over its decoder.
  func encoding(tokens: Int, width: Int) -> Double {
    2 * Double(tokens) * Double(model.dimension) * Double(width) / Self.rate
  }

  /// Seconds of one training step: the dense encoder product, the sparse rest and Adam over all parameters.
  func trainingStep(batch: Int, width: Int) -> Double {
    let dense = 2 * Double(batch) * Double(model.dimension) * Double(width)
    return (1.3 * dense + 30 * Double(model.dimension) * Double(width)) / Self.rate
  }

  /// How many units of `seconds` each make a slice, within bounds.
  static func slice(unit seconds: Double, in bounds: ClosedRange<Int>) -> Int {
    let wanted = seconds > 0 ? (target / seconds).rounded() : Double(bounds.upperBound)
    return min(max(Int(min(wanted, 1e9)), bounds.lowerBound), bounds.upperBound)
  }
}

extension Int {
  /// `0..<self` in slices of at most `size`.
  func slices(of size: Int) -> [Range<Int>] {
    stride(from: 0, to: self, by: Swift.max(size, 1)).map { $0..<Swift.min($0 + size, self) }
  }
}
