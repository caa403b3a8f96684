import Diagnostics
import Foundation
import Kernels
import SparseAutoencoders
import SweepRecords
import TensorFiles
import Testing

@testable import Decomposition

/// What runs share changes no result, and what is not the same is not shared.
struct DecompositionMemoryTests {
  private func request(
    _ vectors: Matrix, _ methods: [DecompositionMethod], pairs: PairActivations?, seed: UInt64 = 1
  ) -> DecompositionRequest {
    DecompositionRequest(
      subjects: (0..<vectors.rows).map { .init(behaviour: "b\($0)", vector: vectors.row($0), pairs: pairs) },
      methods: methods, sparsities: [.atoms(3), .all], coefficients: [-1, 2],
      activations: ActivationReference(norms: [1, 2, 3], mean: vectors.row(0)), seed: seed)
  }

  private func results(
    _ autoencoder: SparseAutoencoder, _ request: DecompositionRequest, _ memory: DecompositionMemory?
  ) throws -> (rows: [TableRow], codes: [SignedCode], errors: [[Float]]) {
    var (rows, codes): ([TableRow], [SignedCode]) = ([], [])
    let extras = try Decomposer(autoencoder, request, memory: memory, pool: pool).run {
      rows.append($0.row(layer: 1, sae: "s"))
      codes.append($0.code)
    }
    return (rows, codes, extras.pairDifferenceErrors.map(\.error))
  }

  @Test(arguments: Golden.autoencoders)
  func sharedWorkChangesNoBit(_ name: String) throws {
    let (autoencoder, input) = (try Golden.autoencoder(name), try Golden.input(name))
    let other = try dictionaryAutoencoder(gaussianMatrix(20, autoencoder.dimension, seed: 3))
    let pairs = PairActivations(positive: input.rows(0..<3), negative: input.rows(3..<6))
    let memory = DecompositionMemory()
    for methods in [
      [DecompositionMethod.encode], [.gradientPursuit], [.encodeAnchored, .pairDifference], [.matchingPursuitSigned],
    ] {
      // The same vectors again, other vectors, other pairs, another seed, another SAE in between.
      let requests = [
        request(input.rows(0..<2), methods, pairs: pairs), request(input.rows(0..<2), methods, pairs: pairs),
        request(input.rows(1..<3), methods, pairs: pairs),
        request(input.rows(1..<3), methods, pairs: .init(positive: input, negative: input.rows(0..<1))),
        request(input.rows(1..<3), methods, pairs: .init(positive: input, negative: input.rows(0..<1)), seed: 2),
      ]
      for request in requests {
        let (alone, shared) = (try results(autoencoder, request, nil), try results(autoencoder, request, memory))
        #expect(alone.codes == shared.codes && alone.rows == shared.rows && alone.errors == shared.errors)
      }
      let (alone, shared) = (try results(other, requests[0], nil), try results(other, requests[0], memory))
      #expect(alone.codes == shared.codes && alone.rows == shared.rows)
    }
  }

  @Test(arguments: ["W_enc", "W_dec"], [Float.nan, .infinity])
  func weightsThatAreNotFiniteAreFoundOnTheWay(_ weight: String, _ value: Float) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.copyItem(atPath: "\(Golden.folder)/saes/standard", toPath: folder.path)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = try SafetensorsFile(path: folder.appending(path: "sae_weights.safetensors").path)
    let place = try file.tensor(named: weight).byteRange.lowerBound + 4 * 37
    let handle = try FileHandle(forWritingTo: folder.appending(path: "sae_weights.safetensors"))
    try handle.seek(toOffset: UInt64(place))
    try handle.write(contentsOf: withUnsafeBytes(of: value) { Data($0) })
    try handle.close()
    let autoencoder = try SparseAutoencoder(contentsOf: folder.path, checkingWeights: false)
    let input = try Golden.input("standard")
    #expect {
      _ = try results(autoencoder, request(input.rows(0..<1), [.encode], pairs: nil), nil)
    } throws: { error in
      (error as? InputError)?.description.contains(weight) == true
    }
  }
}
