internal import Kernels
internal import SparseAutoencoders
internal import Synchronization

/// What decompositions that follow each other have in common, kept from one to the next: the dictionary of the last SAE, and what all
/// methods share of the last vectors. So one read of an SAE and one pass over the pairs serve them all.
///
/// No result depends on it: what is kept is found again by the very numbers that it was made of.
package final class DecompositionMemory: Sendable {
  private struct Kept: Sendable {
    var autoencoder: SparseAutoencoder?
    var dictionary: UnitDictionary?
    var readings: (subjects: [DecompositionRequest.Subject], seed: UInt64?, value: VectorReadings)?
  }
  private let kept = Mutex(Kept())

  package init() {}

  /// What is kept of this very SAE; of another one, nothing is from now on.
  private func withKept<Result: Sendable>(
    of autoencoder: SparseAutoencoder, _ body: (inout Kept) -> Result
  ) -> Result {
    kept.withLock { kept in
      if kept.autoencoder !== autoencoder { kept = Kept(autoencoder: autoencoder) }
      return body(&kept)
    }
  }

  /// What was kept of these very vectors, pairs and seed; what belongs to others is forgotten.
  func readings(of request: DecompositionRequest, through autoencoder: SparseAutoencoder) -> VectorReadings? {
    let last = withKept(of: autoencoder) { $0.readings }
    if let last, last.seed == request.seed, last.subjects == request.subjects { return last.value }
    withKept(of: autoencoder) { $0.readings = nil }
    return nil
  }

  func keep(_ readings: VectorReadings, of request: DecompositionRequest, through autoencoder: SparseAutoencoder) {
    withKept(of: autoencoder) { $0.readings = (request.subjects, request.seed, readings) }
  }

  func dictionary(of autoencoder: SparseAutoencoder, pool: ThreadPool) -> UnitDictionary {
    if let dictionary = withKept(of: autoencoder, { $0.dictionary }) { return dictionary }
    let made = UnitDictionary(autoencoder, pool: pool)
    withKept(of: autoencoder) { $0.dictionary = made }
    return made
  }
}
