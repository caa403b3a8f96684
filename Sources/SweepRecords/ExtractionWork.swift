/// Where in a completion an extraction reads the residual stream (methods.md, section 1).
package enum ReadPosition: String, Codable, Hashable, Sendable, CaseIterable {
  case firstDifference = "first-difference"
  case answerMean = "answer-mean"
}

/// A slice of contrast pairs. Output `activations`: `positive.L`, `negative.L` [pairs, d].
package struct ExtractWork: Codable, Hashable, Sendable {
  package var model: ModelReference
  package var layers: [Int]
  /// The contrast set's bytes.
  package var contrast: InputReference
  package var from: Int
  package var to: Int
  package var read: ReadPosition

  package init(model: ModelReference, layers: [Int], contrast: InputReference, from: Int, to: Int, read: ReadPosition) {
    self.model = model
    self.layers = layers
    self.contrast = contrast
    self.from = from
    self.to = to
    self.read = read
  }
}

/// Reduces extraction slices to steering vectors. Output `vectors`: `original.L` and, of extracted ones, `pca.L` [d].
/// With `controls`, makes these of the originals instead. Output `controls`: `shuffled-0.L`, `random-I.L` [d], of the
/// original's norm. Rows: `steering_vector`.
package struct VectorsWork: Codable, Hashable, Sendable {
  /// Vectors that should not steer, to compare with; a task of their own, so that another control changes no vector.
  package struct Controls: Codable, Hashable, Sendable {
    package var random: Int
    package var shuffled: Bool
    package var seed: UInt64

    package init(random: Int, shuffled: Bool, seed: UInt64) {
      self.random = random
      self.shuffled = shuffled
      self.seed = seed
    }
  }
  package var behaviour: String
  package var layers: [Int]
  /// `activations` of the extract tasks, in slice order; empty when `given` is set.
  package var slices: [InputReference]
  /// A vector file's bytes, for a behaviour whose vector is given.
  package var given: InputReference?
  package var controls: Controls?

  package init(
    behaviour: String, layers: [Int], slices: [InputReference], given: InputReference?, controls: Controls? = nil
  ) {
    self.behaviour = behaviour
    self.layers = layers
    self.slices = slices
    self.given = given
    self.controls = controls
  }
}
