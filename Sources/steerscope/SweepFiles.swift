internal import Diagnostics
internal import Foundation
internal import Messaging
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
    let resolver = SweepResolver(inspector: SweepFileInspection(), file: path, filesFolder: try Settings.filesFolder())
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

/// What the environment says.
enum Settings {
  /// `STEERSCOPE_FILES`: the folder under which relative model and SAE locators lie.
  static func filesFolder() throws(InputError) -> String? { try value("STEERSCOPE_FILES") }

  /// Where a locator leads on this machine.
  static func path(of locator: String) throws(InputError) -> String {
    locator.hasPrefix("/") ? locator : try filesFolder().map { $0 + "/" + locator } ?? locator
  }

  /// `STEERSCOPE_DATABASE`, or a SQLite file in the working folder.
  static func database() throws(InputError) -> StoreLocator {
    guard let text = try value("STEERSCOPE_DATABASE") else { return .standard }
    return try StoreLocator(parsing: text)
  }

  /// `STEERSCOPE_BROKER`: where messages go; nil where none is set.
  static func broker() throws(InputError) -> AMQPSettings? {
    guard let text = try value("STEERSCOPE_BROKER") else { return nil }
    return try AMQPSettings(parsing: text, subject: "STEERSCOPE_BROKER")
  }

  /// A variable, or the content of the file that the same name with `_FILE` gives; nil where neither is set.
  static func value(_ name: String) throws(InputError) -> String? {
    let environment = Terminal.environment
    if let value = environment[name], !value.isEmpty {
      Secrets.learn(from: value)
      return value
    }
    guard let path = environment[name + "_FILE"], !path.isEmpty else { return nil }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw InputError(name + "_FILE", expected: "a readable file", found: path.debugDescription)
    }
    let value = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard !value.isEmpty else {
      throw InputError(name + "_FILE", expected: "a file with the value of \(name)", found: "nothing in \(path)")
    }
    Secrets.learn(from: value)
    return value
  }

  /// This user's cache folder for the program; nil where there is none.
  static var cacheFolder: String? {
    let environment = Terminal.environment
    let cache = environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
    return (cache ?? environment["HOME"].map { $0 + "/.cache" }).map { $0 + "/steerscope" }
  }

  /// Where digests of large files are remembered between runs.
  static var digestMemory: DigestMemory {
    DigestMemory(file: cacheFolder.map { $0 + "/digests.json" }) { path throws(InputError) in
      try ContentDigest.of(path: path)
    }
  }
}

/// Opening the store that the environment names.
enum OpenStore {
  /// The path of the SQLite file.
  static func path() throws(InputError) -> String {
    switch try Settings.database() {
    case .sqlite(let path):
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
        throw InputError(path, expected: "a database file", found: "a directory", remedy: "mend STEERSCOPE_DATABASE")
      }
      return path
    case .postgresql:
      throw InputError(
        "STEERSCOPE_DATABASE", expected: "sqlite:PATH",
        found: "a PostgreSQL server, which this build has no client for",
        remedy: "use sqlite:steerscope.db")
    }
  }

  /// The store; `creating` makes it where there is none.
  static func open(creating: Bool = false) throws -> SQLiteStore {
    try SQLiteStore(path: try path(), creating: creating)
  }

  /// A sweep by name, id or beginning of an id; without one, the newest.
  static func sweep(_ text: String?, in store: any ResultStore) async throws -> SweepSummary {
    if let text, let found = try await store.findSweep(text) { return found }
    let sweeps = try await store.sweeps(in: nil)
    if text == nil, let newest = sweeps.first { return newest }
    let names = Array(Set(sweeps.map(\.name))).sorted().prefix(8).joined(separator: ", ")
    throw InputError(
      text.map { "sweep \"\($0)\"" } ?? "sweep", expected: "a sweep's name or id",
      found: sweeps.isEmpty ? "no sweeps in the database" : "none of that name among \(names)")
  }
}
