import Foundation
import Storage
import Testing

/// Random sequences of operations, compared step by step with the reference model.
@Suite struct ResultStoreConformanceModelTests {
  /// More seeds for a long run, from the environment.
  private static let seeds = ProcessInfo.processInfo.environment["STEERSCOPE_TEST_SEEDS"].flatMap(UInt64.init) ?? 8
  private static let length = 120

  private static let planAll = PlannedSweep.all.indices.flatMap { sweep in
    [StoreOperation.submit(sweep: sweep)]
      + PlannedSweep.all[sweep].chunks.indices.map { .expand(sweep: sweep, chunk: $0) }
  }

  @Test(arguments: StoreKind.allCases) func `random operations do what the model does`(_ kind: StoreKind) async {
    for seed in 0..<Self.seeds {
      var generator = SeededGenerator(seed: seed)
      var operations = (0..<Self.length).map { _ in StoreOperation.random(&generator) }
      // Most begin with work to do.
      if seed % 4 != 0 { operations = Self.planAll + operations }
      guard let first = await ModelBasedRun.firstDivergence(operations, kind) else { continue }
      let (shortest, divergence) = await shrink(Array(operations.prefix(first.index + 1)), first.divergence, kind)
      let steps = shortest.map { "  \($0)" }.joined(separator: "\n")
      Issue.record("seed \(seed): \(divergence)\nafter:\n\(steps)")
      return
    }
  }

  /// Takes parts out, large ones first, as long as what is left still diverges.
  private func shrink(
    _ operations: [StoreOperation], _ divergence: String, _ kind: StoreKind
  ) async -> (operations: [StoreOperation], divergence: String) {
    var (shortest, divergence) = (operations, divergence)
    var size = shortest.count / 2
    while size > 0 {
      var start = 0
      while start < shortest.count {
        var candidate = shortest
        candidate.removeSubrange(start..<min(start + size, shortest.count))
        if let found = await ModelBasedRun.firstDivergence(candidate, kind) {
          shortest = Array(candidate.prefix(found.index + 1))
          divergence = found.divergence
        } else {
          start += size
        }
      }
      size /= 2
    }
    return (shortest, divergence)
  }
}
