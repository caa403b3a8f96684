import Kernels
import TensorFiles
import Testing

@testable import SparseAutoencoders

/// Codes and reconstructions of real SAELens, for every architecture and normalisation.
struct GoldenCodeTests {
  static let names = [
    "standard", "standard-no-b-dec", "standard-layer-norm", "standard-constant-norm", "standard-expected-average",
    "jumprelu", "jumprelu-no-b-dec", "topk", "topk-rescaled", "topk-layer-norm", "gated", "gated-constant-norm",
    "old-topk", "old-standard", "gemma-scope", "gemma-scope-deflated",
  ]

  @Test(arguments: names) func agreesWithSAELens(_ name: String) throws {
    let expected = try SafetensorsFile(path: Golden.path("sae-expected.safetensors"))
    let sae = try SparseAutoencoder(contentsOf: Golden.path("saes/\(name)"))
    let input = try Golden.matrix("\(name)/input", in: expected)
    let codes = try Golden.matrix("\(name)/codes", in: expected)
    let reconstruction = try Golden.matrix("\(name)/reconstruction", in: expected)

    let found = sae.encode(input, pool: pool)
    #expect(found.columns == sae.width && found.rows == input.rows)
    for row in 0..<input.rows {
      let dense = found.dense(row)
      #expect(dense.map { $0 > 0 } == codes.row(row).map { $0 > 0 }, "active features of row \(row)")
      #expect(relativeDifference(dense, codes.row(row)) < 1e-5)
    }
    let decoded = sae.reconstruct(input, pool: pool)
    #expect(relativeDifference(decoded.elements, reconstruction.elements) < 1e-5)

    let encoding = sae.encoding(of: input, pool: pool)
    for row in 0..<input.rows {
      #expect(encoding.code(row, coefficient: 1, convention: sae.convention) == found.dense(row))
    }
  }

  @Test(arguments: names) func codesAtOtherCoefficientsAreThoseOfTheScaledVector(_ name: String) throws {
    let expected = try SafetensorsFile(path: Golden.path("sae-expected.safetensors"))
    let sae = try SparseAutoencoder(contentsOf: Golden.path("saes/\(name)"))
    let input = try Golden.matrix("\(name)/input", in: expected)
    let encoding = sae.encoding(of: input, pool: pool)
    for convention in SparseAutoencoder.InputConvention.allCases {
      for coefficient: Float in [-2.5, -1, 0.25, 3] {
        var scaled = input
        scaled.elements = input.elements.map { $0 * coefficient }
        let direct = sae.encode(scaled, convention: convention, pool: pool)
        let scales = sae.outputScales(of: scaled)
        for row in 0..<input.rows {
          let code = encoding.code(row, coefficient: coefficient, convention: convention)
          #expect(relativeDifference(code, direct.dense(row)) < 2e-5)
          let scale = encoding.outputScale(row, coefficient: coefficient)
          let directScale = scales?[row] ?? sae.unitScale
          #expect(abs(scale.factor - directScale.factor) <= 1e-5 * directScale.factor)
          #expect(abs(scale.shift - directScale.shift) <= 1e-5)
        }
      }
      let zero = sae.encode(Matrix(rows: 1, columns: sae.dimension), convention: convention, pool: pool)
      #expect(encoding.zeroCode(convention) == zero.dense(0))
      #expect(encoding.code(0, coefficient: 0, convention: convention) == zero.dense(0))
    }
  }

  @Test(arguments: names) func savingKeepsEverything(_ name: String) throws {
    let expected = try SafetensorsFile(path: Golden.path("sae-expected.safetensors"))
    let sae = try SparseAutoencoder(contentsOf: Golden.path("saes/\(name)"))
    let input = try Golden.matrix("\(name)/input", in: expected)
    let bytes = try sae.serialized()
    let fromBytes = try SparseAutoencoder(safetensors: bytes, named: "artifact")
    let fromFolder = try withTemporaryFolder { folder in
      try sae.save(toDirectory: "\(folder)/made/for it")
      return try SparseAutoencoder(contentsOf: "\(folder)/made/for it")
    }
    for copy in [fromBytes, fromFolder] {
      #expect(copy.architecture == sae.architecture && copy.normalization == sae.normalization)
      #expect(copy.convention == sae.convention && copy.biases == sae.biases)
      #expect(copy.metadata.layer == sae.metadata.layer && copy.metadata.hookName == sae.metadata.hookName)
      #expect(copy.encode(input, pool: pool) == sae.encode(input, pool: pool))
      #expect(copy.reconstruct(input, pool: pool) == sae.reconstruct(input, pool: pool))
    }
    #expect(try fromBytes.serialized() == bytes)
  }

  @Test func metadataOfGoldenFiles() throws {
    let old = try SparseAutoencoder(contentsOf: Golden.path("saes/old-topk/cfg.json")).metadata
    #expect(old.hookName == "blocks.1.hook_resid_post" && old.layer == 1 && old.contextSize == 64)
    #expect(old.modelName == "golden-tiny" && old.prependsBOS == true)
    let scope = SparseAutoencoder.Metadata(gemmaScope: "gemma/layer_12/width_65k/average_l0_72/params.npz")
    #expect(scope.layer == 12 && scope.claimedWidth == 65536 && scope.claimedL0 == 72)
    let wide = SparseAutoencoder.Metadata(gemmaScope: "layer_5/width_1m/average_l0_114/params.npz")
    #expect(wide.claimedWidth == 1 << 20)
  }
}
