import Foundation
import Kernels
import TensorFiles
import Testing

@testable import SparseAutoencoders

/// Weights of other stored types give the bits of the same numbers in float32, and stay as they are when saved.
struct StoredTypeTests {
  @Test(arguments: [FloatFormat.float16, .bfloat16, .float64])
  func otherStoredTypes(_ format: FloatFormat) throws {
    let (dimension, width) = (19, 70)
    let encoder = gaussianMatrix(dimension, width, seed: 1)
    let decoder = gaussianMatrix(width, dimension, seed: 2)
    var writer = SafetensorsWriter(metadata: [
      "cfg": """
      {"architecture": "standard", "d_in": 19, "d_sae": 70, "dtype": "\(format)", "apply_b_dec_to_input": true,
      "metadata": {"sae_lens_version": "6.5.0"}}
      """
    ])
    let rounded = try [("W_enc", encoder), ("W_dec", decoder)].map { name, matrix in
      let bytes = Self.bytes(matrix.elements, format)
      try writer.add(name, type: .float(format), shape: [matrix.rows, matrix.columns], bytes: bytes)
      return Matrix(rows: matrix.rows, columns: matrix.columns, elements: converted(bytes.span.bytes, from: format))
    }
    let (bias, decoderBias) = (gaussianMatrix(1, width, seed: 3).row(0), gaussianMatrix(1, dimension, seed: 4).row(0))
    try writer.add("b_enc", shape: [width], floats: bias)
    try writer.add("b_dec", shape: [dimension], floats: decoderBias)

    let stored = try SparseAutoencoder(safetensors: writer.bytes(), named: "stored")
    let plain = try SparseAutoencoder(
      architecture: .standard, convention: .subtracted, metadata: stored.metadata, encoder: rounded[0],
      decoder: rounded[1], encoderBias: bias, decoderBias: decoderBias)
    let input = gaussianMatrix(40, dimension, seed: 5)
    let codes = stored.encode(input, pool: pool)
    #expect(codes == plain.encode(input, pool: pool))
    #expect(stored.reconstruct(input, pool: pool) == plain.reconstruct(input, pool: pool))
    #expect(stored.decoderNorms(pool: pool) == plain.decoderNorms(pool: pool))
    #expect(stored.decoderRows([69, 3]) == rounded[1].gathering(rows: [69, 3]))
    #expect(stored.decoderRows(4..<9) == rounded[1].rows(4..<9))
    #expect(stored.encoderColumns([0, 69]) == rounded[0].transposed().gathering(rows: [0, 69]))
    #expect(stored.decoderProjections(input, pool: pool) == plain.decoderProjections(input, pool: pool))
    let copy = try SparseAutoencoder(safetensors: stored.serialized(), named: "copy")
    #expect(copy.encode(input, pool: pool) == codes)
    #expect(copy.encoder.type == stored.encoder.type)
    // One token alone, in one thread, has the bits it has among others.
    let alone = stored.encode(input.rows(7..<8), pool: ThreadPool(threads: 1))
    #expect(alone.dense(0) == codes.dense(7))
  }

  private static func bytes(_ values: [Float], _ format: FloatFormat) -> [UInt8] {
    values.flatMap { value -> [UInt8] in
      switch format {
      case .float16: withUnsafeBytes(of: Float16(value)) { Array($0) }
      case .bfloat16: withUnsafeBytes(of: UInt16(value.bitPattern >> 16)) { Array($0) }
      case .float64: withUnsafeBytes(of: Double(value)) { Array($0) }
      case .float32: withUnsafeBytes(of: value) { Array($0) }
      }
    }
  }
}
