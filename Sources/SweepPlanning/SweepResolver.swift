package import Diagnostics
internal import Foundation
package import SweepRecords

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
  /// The digest of what lies at a path.
  let digests: @Sendable (String) throws(InputError) -> Digest

  /// - Parameters:
  ///   - file: the sweep file's path.
  ///   - digests: takes or remembers the digest of a file or directory (`ContentDigest`).
  package init(
    inspector: any SweepFileInspector, file: String, filesFolder: String?,
    digests: @escaping @Sendable (String) throws(InputError) -> Digest = { path throws(InputError) in
      try ContentDigest.of(path: path)
    }
  ) {
    self.digests = digests
    self.inspector = inspector
    self.file = file
    self.filesFolder = filesFolder
    folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
  }

  /// - Throws: `InputErrors` with everything that is wrong, each naming line or file.
  package func resolve(_ specification: SweepSpecification) throws(InputErrors) -> SweepResolution {
    let state = State()
    let (model, path) = resolveModel(specification.model, state) ?? (nil, "")
    // Without a model its files can't be checked against it, but whether they are there can.
    let layers = model.flatMap { model in
      state.collect { () throws(InputError) in
        try NumberList.layers(
          specification.layers, count: model.layers, subject: "\(file):\(specification.layersLine): layers")
      }
    }
    let shape = model.flatMap { model in layers.map { Shape(model: model, modelPath: path, layers: $0) } }
    let activations = resolveActivations(specification.activations, shape, state)
    let behaviours = specification.behaviours.compactMap { resolveBehaviour($0, shape, state) }
    var saes = specification.saes.flatMap { resolveSAE($0, shape, seed: specification.seed, state) }
    saes.sort { ($0.layer, $0.width, $0.name) < ($1.layer, $1.width, $1.name) }
    checkNames(of: saes, specification, state)
    let sideEffects = specification.sideEffects.flatMap { resolveSideEffects($0, shape, state) }
    guard state.errors.isEmpty, let model, let layers, let activations else { throw InputErrors(state.errors) }
    var sweep = ResolvedSweep(
      specification: specification, model: model, activations: activations, layers: layers)
    sweep.behaviours = behaviours
    sweep.saes = saes
    sweep.sideEffects = sideEffects
    return SweepResolution(sweep: sweep, inputs: state.inputs)
  }

  /// What other files are checked against.
  struct Shape {
    let model: ResolvedSweep.Model
    let modelPath: String
    let layers: [Int]
  }

  /// What gathers while a sweep is resolved.
  final class State {
    private(set) var errors: [InputError] = []
    var inputs: [Digest: [UInt8]] = [:]

    @discardableResult
    func collect<Value>(_ body: () throws(InputError) -> Value) -> Value? {
      do {
        return try body()
      } catch {
        report(error)
        return nil
      }
    }

    /// Notes an error, once: two keys may name the same missing file.
    func report(_ error: InputError) {
      if !errors.contains(error) { errors.append(error) }
    }
  }
}
