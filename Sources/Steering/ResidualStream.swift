package import Diagnostics
package import Kernels
package import LanguageModels

/// The residual stream of some sequences after a layer: where a run to a higher layer goes on instead of beginning anew.
package struct ResidualStream: Sendable {
  package var layer: Int
  /// `[rows of all sequences, d]`.
  package var residual: Matrix

  package init(layer: Int, residual: Matrix) {
    self.layer = layer
    self.residual = residual
  }
}

extension LanguageModel {
  /// Runs sequences through the blocks up to the highest of `layers`: from their tokens, or from where an earlier run of the same
  /// sequences ended below them. The same bits either way.
  ///
  /// - Parameter caches: one a sequence. They keep the keys and values of the blocks run, if `keepsCache`.
  /// - Returns: the layers' residual streams [rows, d], and the stream to go on from.
  package func advance(
    _ sequences: [[Int]], to layers: [Int], from earlier: ResidualStream?, caches: inout [KeyValueCache],
    keepsCache: Bool = true
  ) throws(InputError) -> (captured: [Int: Matrix], stream: ResidualStream) {
    let top = layers.max() ?? 0
    let start = earlier.map { $0.layer + 1 } ?? 0
    precondition(layers.allSatisfy { $0 >= start }, "an earlier run must have ended below all layers")
    let run = BlockRun(blocks: start..<top + 1, capturedLayers: layers, keepsCache: keepsCache)
    let result =
      if let earlier {
        try self.run(run, residual: earlier.residual, parts: sequences.map(\.count), caches: &caches)
      } else {
        try forward(sequences, run, caches: &caches)
      }
    return (result.captured, ResidualStream(layer: top, residual: result.residual))
  }
}
