internal import Kernels

/// Features that a vector's code has although the prompts that made the vector (nearly) never activate them: what an
/// encoder says in place of a negative projection on an anti-aligned direction.
enum SpuriousFeatures {
  /// Partners are looked for among the strongest of them, so that the work is bounded.
  static let searched = 256

  /// The features of f(v) that are near silent on both sides of the pairs, strongest first.
  static func find(in code: SignedCode, firing: [Bool]) -> [Int] {
    code.byFallingMagnitude.map { Int(code.indices[$0]) }.filter { !firing[$0] }
  }

  /// The most anti-aligned partner of any of the features: the lowest cosine of their decoder rows. Ties go to the
  /// stronger feature, then to the lower partner. Nil where nothing is anti-aligned. Complexity: O(features d F).
  static func worst(
    _ features: [Int], decoder: DecoderDirections, pool: ThreadPool
  ) -> DecompositionMetrics.SignCounts.AntiAligned? {
    var worst: DecompositionMetrics.SignCounts.AntiAligned?
    let features = Array(features.prefix(searched))
    let width = decoder.norms.count
    let rowsAtOnce = max(1, (1 << 24) / width)
    for start in stride(from: 0, to: features.count, by: rowsAtOnce) {
      let block = Array(features[start..<min(start + rowsAtOnce, features.count)])
      let cosines = decoder.cosines(of: block, pool: pool)
      for (row, feature) in block.enumerated() {
        let values = cosines.row(row)
        // The largest of the negated values is the lowest cosine.
        guard let partner = topK(values.map { -$0 }, 1).first, values[partner] < 0 else { continue }
        if Double(values[partner]) < worst?.cosine ?? 0 {
          worst = .init(feature: feature, partner: partner, cosine: Double(values[partner]))
        }
      }
    }
    return worst
  }
}
