package import Diagnostics
internal import Foundation
package import SweepRecords

/// Looks into the files that a sweep names, for facts that the plan needs. The one that reads real files belongs to whoever
/// knows the formats; errors are the readers' own.
package protocol SweepFileInspector: Sendable {
  /// A model's shape, without loading its weights.
  func model(at path: String) throws(InputError) -> ModelFacts
  /// An SAE's shape, without loading its weights.
  func sae(at path: String) throws(InputError) -> SAEFacts
  /// How many pairs a contrast or question file has, and where its extraction reads by default.
  func contrastSet(_ bytes: [UInt8], name: String) throws(InputError) -> ContrastFacts
  /// The layers for which a vector file holds a vector of dimension `dimension`; an error names what is wrong.
  func checkVector(at path: String, layers: [Int], dimension: Int) throws(InputError)
  /// A prompt template as the tasks take it: a known name, or the text of the file at `path`.
  func template(_ name: String?, relativeTo folder: String) throws(InputError) -> String
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

  package init(dimension: Int, width: Int) {
    self.dimension = dimension
    self.width = width
  }
}

/// What the plan needs to know of a contrast set.
package struct ContrastFacts: Sendable {
  package var count: Int
  package var read: ReadPosition

  package init(count: Int, read: ReadPosition) {
    self.count = count
    self.read = read
  }
}

/// A resolved sweep with the bytes of its small inputs.
package struct SweepResolution: Sendable {
  package var sweep: ResolvedSweep
  /// Contrast sets, vectors and texts, by content.
  package var inputs: [Digest: [UInt8]]
}

/// Turns a specification into a resolved sweep, gathering every missing or wrong file.
package struct SweepResolver: Sendable {
  /// The most bytes of a small input (protocol.md, "Data that workers need").
  static let smallInputLimit = 64 << 20
  /// Tokens per sampled sequence and per context of harvested text.
  static let contextLength = 128

  let inspector: any SweepFileInspector
  /// The sweep file's name, for errors.
  let file: String
  /// The folder of the sweep file: relative paths start there.
  let folder: String
  /// `STEERSCOPE_FILES`: where relative model and SAE locators are looked for first.
  let filesFolder: String?

  /// - Parameter file: the sweep file's path.
  package init(inspector: any SweepFileInspector, file: String, filesFolder: String?) {
    self.inspector = inspector
    self.file = file
    self.filesFolder = filesFolder
    folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
  }

  /// - Throws: `InputErrors` with everything that is wrong, each naming line or file.
  package func resolve(_ specification: SweepSpecification) throws(InputErrors) -> SweepResolution {
    let state = State()
    let model = state.collect { () throws(InputError) in try resolveModel(specification.model) }
    guard let model else { throw InputErrors(state.errors) }
    let layers = state.collect { () throws(InputError) in
      try NumberList.layers(
        specification.layers, count: model.layers, subject: "\(file):\(specification.layersLine): layers")
    }
    let activations = state.collect { () throws(InputError) in
      try resolveActivations(specification.activations, model: model, into: &state.inputs)
    }
    guard let layers, let activations else { throw InputErrors(state.errors) }
    var sweep = ResolvedSweep(
      specification: specification, model: model, activations: activations, layers: layers)
    for behaviour in specification.behaviours {
      if let resolved = resolveBehaviour(behaviour, layers: layers, dimension: model.dimension, state) {
        sweep.behaviours.append(resolved)
      }
    }
    for sae in specification.saes {
      sweep.saes += resolveSAE(sae, layers: layers, model: model, seed: sweep.seed, state)
    }
    sweep.saes.sort { ($0.layer, $0.width, $0.name) < ($1.layer, $1.width, $1.name) }
    if let effects = specification.sideEffects {
      let text = state.collect { () throws(InputError) in
        try smallInput(effects.text, key: "\(file):\(effects.line): side_effects.text", into: &state.inputs)
      }
      if let text {
        sweep.sideEffects = .init(
          text: text, tokens: effects.tokens, context: min(Self.contextLength, model.contextLength))
      }
    }
    guard state.errors.isEmpty else { throw InputErrors(state.errors) }
    return SweepResolution(sweep: sweep, inputs: state.inputs)
  }

  /// What gathers while a sweep is resolved.
  final class State {
    var errors: [InputError] = []
    var inputs: [Digest: [UInt8]] = [:]

    func collect<Value>(_ body: () throws(InputError) -> Value) -> Value? {
      do {
        return try body()
      } catch {
        errors.append(error)
        return nil
      }
    }
  }
}
