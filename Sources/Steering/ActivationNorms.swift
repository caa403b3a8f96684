internal import Foundation
package import Kernels

/// The norms and the mean of a layer's activations, a few huge outliers left out (methods.md, section 1).
package struct ActivationNorms: Sendable, Equatable {
  /// Norms of the activations that count, rising.
  package var sorted: [Float]
  /// Their mean vector [d].
  package var mean: [Float]
  /// How many were left out.
  package var excluded: Int

  /// Activations beyond so many times the median norm are left out: a few tokens reach 100 times the median.
  package static let outlierFactor: Float = 6

  /// Takes all activations [tokens, d] (first tokens not among them).
  package init(_ activations: Matrix, pool: ThreadPool) {
    let norms = rowNorms(activations, pool: pool)
    let kept = ActivationNorms.kept(norms)
    mean = columnMeans(kept.count == norms.count ? activations : activations.gathering(rows: kept)).map { Float($0) }
    sorted = kept.map { norms[$0] }.sorted()
    excluded = norms.count - kept.count
  }

  package init(sorted: [Float], mean: [Float], excluded: Int) {
    self.sorted = sorted
    self.mean = mean
    self.excluded = excluded
  }

  /// The indices of the norms within six medians, rising.
  package static func kept(_ norms: [Float]) -> [Int] {
    guard !norms.isEmpty else { return [] }
    let limit = norms.sorted()[norms.count / 2] * outlierFactor
    return norms.indices.filter { norms[$0] <= limit && norms[$0].isFinite }
  }

  /// The median norm; nan without activations.
  package var median: Float { percentile(50) }

  /// The norm below which `percent` of the activations lie, interpolated between neighbours; nan without activations.
  package func percentile(_ percent: Double) -> Float {
    guard !sorted.isEmpty else { return .nan }
    let place = percent / 100 * Double(sorted.count - 1)
    let below = Int(place)
    let above = min(below + 1, sorted.count - 1)
    return sorted[below] + Float(place - Double(below)) * (sorted[above] - sorted[below])
  }

  /// The share of activations, in percent, whose norm is below `norm`.
  package func rank(of norm: Float) -> Double {
    guard !sorted.isEmpty else { return .nan }
    var (low, high) = (0, sorted.count)
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < norm { low = middle + 1 } else { high = middle }
    }
    return 100 * Double(low) / Double(sorted.count)
  }
}
