/// A slice of text, read or sampled, run through the model. Output `activations`: `layer.L` [tokens, d], first tokens
/// left out. Of text that the model is yet to write, output `tokens` instead: `tokens` [total], `lengths` and `skipped`
/// [sequences], where `skipped` tokens of a sequence were given rather than written; `layers` is empty then, so that
/// the text does not depend on which layers are looked at.
package struct HarvestWork: Codable, Hashable, Sendable {
  /// Where the text comes from.
  package enum Source: Codable, Hashable, Sendable {
    /// Tokens `from..<to` of the text artifact's token stream, cut into contexts of `context` tokens.
    case text(InputReference, from: Int, to: Int, context: Int)
    /// Sequences `from..<to` of those that the model writes itself: `length` tokens each at `temperature`, even ones
    /// from the end-of-text token, odd ones as conversations; sequence i draws from stream i of the seed.
    case sample(seed: UInt64, from: Int, to: Int, length: Int, temperature: Double)
    /// The `tokens` of a harvest that sampled them.
    case sampled(InputReference)
  }
  package var model: ModelReference
  package var layers: [Int]
  package var source: Source

  package init(model: ModelReference, layers: [Int], source: Source) {
    self.model = model
    self.layers = layers
    self.source = source
  }
}

/// Reduces harvest slices, in order. Output `statistics`: `mean.L` [d], `norms.L` [tokens] sorted rising, outliers
/// left out.
/// Rows: `activation_statistics`.
package struct StatisticsWork: Codable, Hashable, Sendable {
  package var layers: [Int]
  /// `activations` of the harvest tasks, in slice order.
  package var slices: [InputReference]

  package init(layers: [Int], slices: [InputReference]) {
    self.layers = layers
    self.slices = slices
  }
}
