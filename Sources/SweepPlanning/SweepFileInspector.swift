package import Diagnostics
package import SweepRecords

/// Looks into the files that a sweep names, for facts that the plan needs. The one that reads real files belongs to whoever
/// knows the formats; errors are the readers' own.
package protocol SweepFileInspector: Sendable {
  /// A model's shape, without loading its weights.
  func model(at path: String) throws(InputError) -> ModelFacts
  /// An SAE's shape, without loading its weights.
  func sae(at path: String) throws(InputError) -> SAEFacts
  /// How many pairs a contrast or question file has, how long they are, and where its extraction reads by default.
  func contrastSet(_ bytes: [UInt8], name: String) throws(InputError) -> ContrastFacts
  /// Checks that the model at `path` can be asked the first `count` pairs of a file: their tokens fit its context, and tell the
  /// answers apart; an error names the item.
  func checkPairs(
    _ bytes: [UInt8], name: String, count: Int, modelAt path: String, template: String
  ) throws(InputError)
  /// Checks that a vector file holds a vector of dimension `dimension` for each layer; an error names what is wrong.
  func checkVector(at path: String, layers: [Int], dimension: Int) throws(InputError)
  /// A prompt template as the tasks take it: a known name, or the text of the file at `path`.
  func template(_ name: String?, relativeTo folder: String) throws(InputError) -> String
  /// How many tokens a text has under the tokenizer of the model at `path`.
  func tokenCount(of text: [UInt8], modelAt path: String) throws(InputError) -> Int
}

/// A model's shape.
package struct ModelFacts: Sendable {
  package var layers: Int
  package var dimension: Int
  package var vocabulary: Int
  package var blockParameters: Int
  package var contextLength: Int

  package init(layers: Int, dimension: Int, vocabulary: Int, blockParameters: Int, contextLength: Int) {
    self.layers = layers
    self.dimension = dimension
    self.vocabulary = vocabulary
    self.blockParameters = blockParameters
    self.contextLength = contextLength
  }
}

/// An SAE's shape.
package struct SAEFacts: Sendable {
  package var dimension: Int
  package var width: Int
  /// The layer that the file itself says it belongs to; nil where it doesn't.
  package var layer: Int?

  package init(dimension: Int, width: Int, layer: Int?) {
    self.dimension = dimension
    self.width = width
    self.layer = layer
  }
}

/// What the plan needs to know of a contrast set.
package struct ContrastFacts: Sendable {
  package var count: Int
  package var read: ReadPosition
  /// Bytes of all prompts, and of all answers of both kinds.
  package var promptBytes: Int
  package var answerBytes: Int

  package init(count: Int, read: ReadPosition, promptBytes: Int, answerBytes: Int) {
    self.count = count
    self.read = read
    self.promptBytes = promptBytes
    self.answerBytes = answerBytes
  }

  /// Tokens of a mean prompt and a mean answer, at four bytes each; a template adds about twenty to the prompt.
  var tokens: ResolvedSweep.TokenEstimate {
    let count = max(self.count, 1)
    return .init(prompt: promptBytes / count / 4 + 20, answer: max((answerBytes / (2 * count) + 3) / 4, 1))
  }
}
