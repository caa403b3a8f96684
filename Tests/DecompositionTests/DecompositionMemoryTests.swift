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

  private struct Results: Equatable {
    var rows: [TableRow] = []
    var codes: [SignedCode] = []
    /// Bit patterns of all vectors.
    var vectors: [[UInt32]] = []
  }

  private func results(
    _ autoencoder: SparseAutoencoder, _ request: DecompositionRequest, _ memory: DecompositionMemory?,
    limits: BatchLimits = .standard
  ) throws -> Results {
    var results = Results()
    var decomposer = try Decomposer(autoencoder, request, memory: memory, pool: pool)
    decomposer.limits = limits
    let extras = try decomposer.run {
      results.rows.append($0.row(layer: 1, sae: "s"))
      results.codes.append($0.code)
      results.vectors.append($0.reconstruction.map(\.bitPattern))
    }
    results.vectors += extras.tensors.map { $0.values.map(\.bitPattern) }
    return results
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
        #expect(alone == shared)
      }
      let (alone, shared) = (try results(other, requests[0], nil), try results(other, requests[0], memory))
      #expect(alone == shared)
    }
  }

  /// Batches that end inside a ladder, between sparsities and vectors, or after every code, with and without what was kept.
  @Test(arguments: ["standard", "jumprelu", "topk-rescaled", "gated-constant-norm"])
  func batchesChangeNoBit(_ name: String) throws {
    let (autoencoder, input) = (try Golden.autoencoder(name), try Golden.input(name))
    var request = request(
      input.rows(0..<2), DecompositionMethod.allCases, pairs: .init(positive: input, negative: input.rows(1..<3)))
    request.coefficients = (1...12).map { Double($0) / 2 - 3.25 }
    request.cutsLadder = true
    let whole = try results(autoencoder, request, nil)
    for limits in [
      BatchLimits(numbers: 0, entries: 1 << 20), .init(numbers: 500, entries: 1 << 20),
      .init(numbers: 1 << 20, entries: 90),
    ] {
      let memory = DecompositionMemory()
      for memory in [nil, memory, memory] {
        #expect(try results(autoencoder, request, memory, limits: limits) == whole)
      }
    }
  }

  /// A sum that ends as a negative zero in the decoder leaves no trace of which pass made it.
  @Test func negativeZerosAreTheSameEverywhere() throws {
    let rows = Matrix([[1, -1e-30], [0.5, -1e-30]], columns: 2)
    let autoencoder = try SparseAutoencoder(
      architecture: .standard, convention: .kept, metadata: .init(source: "tiny"),
      encoder: Matrix([[1e-20, 1e-20], [0, 0]], columns: 2), decoder: rows, encoderBias: [0, 0], decoderBias: [0, 0])
    let request = DecompositionRequest(
      subjects: [.init(behaviour: "b", vector: [1, 0])], methods: [.encode], sparsities: [.all], coefficients: [1, 2])
    let memory = DecompositionMemory()
    let found = try [nil, memory, memory].map { try results(autoencoder, request, $0) }
    #expect(found[0] == found[1] && found[1] == found[2])
    #expect(found[0].vectors.allSatisfy { !$0.contains((-0.0 as Float).bitPattern) })
  }

  @Test(
    arguments: ["standard/W_enc", "standard/W_dec", "topk-rescaled/W_enc", "topk-rescaled/W_dec"],
    [Float.nan, .infinity])
  func weightsThatAreNotFiniteAreFoundOnTheWay(_ place: String, _ value: Float) throws {
    let (name, weight) = (place.prefix { $0 != "/" }, String(place.suffix(5)))
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.copyItem(atPath: "\(Golden.folder)/saes/\(name)", toPath: folder.path)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = try SafetensorsFile(path: folder.appending(path: "sae_weights.safetensors").path)
    let offset = try file.tensor(named: weight).byteRange.lowerBound + 4 * 37
    let handle = try FileHandle(forWritingTo: folder.appending(path: "sae_weights.safetensors"))
    try handle.seek(toOffset: UInt64(offset))
    try handle.write(contentsOf: withUnsafeBytes(of: value) { Data($0) })
    try handle.close()
    let autoencoder = try SparseAutoencoder(contentsOf: folder.path, checkingWeights: false)
    let input = try Golden.input(String(name))
    #expect {
      _ = try results(autoencoder, request(input.rows(0..<1), [.encode], pairs: nil), nil)
    } throws: { error in
      (error as? InputError)?.description.contains(weight) == true
    }
  }
}
