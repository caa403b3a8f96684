internal import Diagnostics
internal import Foundation
internal import Orchestration
internal import Storage
internal import SweepPlanning
internal import SweepRecords

/// A sweep file on its way into a store: read, resolved, and put as a submission.
struct SweepFiles {
  let document: String
  let specification: SweepSpecification
  let resolution: SweepResolution

  /// Reads and resolves a sweep file; everything that is wrong comes at once.
  init(path: String) throws {
    let bytes = try Inputs.bytes(path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw InputError(path, expected: "UTF-8", found: "bytes that are none")
    }
    document = text
    specification = try SweepSpecification(yaml: text, name: path, environment: Terminal.environment)
    let resolver = SweepResolver(
      inspector: SweepFileInspection(), file: path, filesFolder: try Settings.filesFolder(),
      digests: { [digests = Settings.digestMemory] path throws(InputError) in try digests.digest(of: path) })
    resolution = try resolver.resolve(specification)
  }

  /// What the store takes.
  func submission() throws -> SweepSubmission {
    let sweep = resolution.sweep
    let resolved = try sweep.canonicalJSON()
    let model = sweep.model
    return SweepSubmission(
      digest: Digest(of: resolved), name: sweep.name, document: document, resolved: resolved,
      priority: specification.priority, numericsVersion: sweep.numericsVersion,
      inputs: resolution.inputs.keys.sorted().compactMap { resolution.inputs[$0] },
      models: [
        ModelRow(
          digest: model.reference.digest, name: model.locator.split(separator: "/").last.map(String.init) ?? "",
          locator: model.locator,
          architecture: try SweepFileInspection().architecture(at: try Settings.path(of: model.locator)),
          parameters: model.blockParameters + model.vocabulary * model.dimension, layers: model.layers,
          width: model.dimension, vocabulary: model.vocabulary, weights: model.reference.weights,
          template: model.reference.template.isEmpty ? "the model's own" : model.reference.template)
      ],
      behaviours: sweep.behaviours.map {
        BehaviourRow(
          name: $0.name, contrast: $0.contrast, vector: $0.vector, questions: $0.questions,
          pairCount: $0.contrast == nil ? nil : $0.pairs,
          questionCount: $0.questions == nil ? nil : $0.questionCount, read: $0.contrast == nil ? nil : $0.read)
      })
  }
}
