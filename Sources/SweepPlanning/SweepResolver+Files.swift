internal import Diagnostics
internal import Foundation
internal import SweepRecords

/// Finding, checking and digesting what a sweep names.
extension SweepResolver {
  func resolveModel(_ model: SweepSpecification.Model) throws(InputError) -> ResolvedSweep.Model {
    let key = "\(file):\(model.line): model.path"
    let path = try existing(model.path, key: key)
    let facts = try inspector.model(at: path)
    let template = try inspector.template(model.prompt, relativeTo: folder)
    let reference = ModelReference(
      digest: try ContentDigest.of(path: path), weights: model.weights, template: template)
    return .init(
      reference: reference, locator: path, layers: facts.layers, dimension: facts.dimension,
      vocabulary: facts.vocabulary, blockParameters: facts.blockParameters, contextLength: facts.contextLength)
  }

  func resolveActivations(
    _ activations: SweepSpecification.Activations, model: ResolvedSweep.Model, into inputs: inout [Digest: [UInt8]]
  ) throws(InputError) -> ResolvedSweep.Activations {
    let length = min(Self.contextLength, model.contextLength)
    switch activations {
    case .sample(let tokens): return .sample(tokens: tokens, length: length)
    case .text(let path, let tokens, let line):
      let digest = try smallInput(path, key: "\(file):\(line): activations.text", into: &inputs)
      return .text(digest, tokens: tokens, context: length)
    }
  }

  func resolveBehaviour(
    _ behaviour: SweepSpecification.Behaviour, layers: [Int], dimension: Int, _ state: State
  ) -> ResolvedSweep.Behaviour? {
    let key = "\(file):\(behaviour.line): behaviours.\(behaviour.name)"
    var resolved = ResolvedSweep.Behaviour(
      name: behaviour.name, contrast: nil, vector: nil, pairs: 0, questions: nil, questionCount: 0,
      read: behaviour.read ?? .answerMean)
    let complete: Void? = state.collect { () throws(InputError) in
      switch behaviour.source {
      case .extract(let path):
        let digest = try smallInput(path, key: key + ".extract", into: &state.inputs)
        let facts = try inspector.contrastSet(state.inputs[digest] ?? [], name: path)
        resolved.contrast = digest
        resolved.pairs = min(facts.count, behaviour.limit ?? .max)
        resolved.read = behaviour.read ?? facts.read
      case .vector(let path):
        let found = try existing(path, key: key + ".vector")
        try inspector.checkVector(at: found, layers: layers, dimension: dimension)
        resolved.vector = try smallInput(path, key: key + ".vector", into: &state.inputs)
      }
      if let path = behaviour.evaluate {
        let digest = try smallInput(path, key: key + ".evaluate", into: &state.inputs)
        resolved.questions = digest
        let facts = try inspector.contrastSet(state.inputs[digest] ?? [], name: path)
        resolved.questionCount = min(facts.count, behaviour.questions ?? .max)
      }
    }
    return complete == nil ? nil : resolved
  }

  func resolveSAE(
    _ sae: SweepSpecification.SAE, layers: [Int], model: ResolvedSweep.Model, seed: UInt64, _ state: State
  ) -> [ResolvedSweep.SAE] {
    switch sae.source {
    case .train(let training):
      return layers.flatMap { layer in
        training.widths.map { width in
          let plan = TrainingPlan(
            architecture: training.architecture, width: width, sparsity: min(training.sparsity, width),
            steps: training.steps, batch: training.batch, learningRate: training.learningRate, seed: seed)
          return .init(source: .train(plan), layer: layer, width: width, name: "trained-\(width)")
        }
      }
    case .path(let pattern, let widths, let l0):
      let key = "\(file):\(sae.line): saes.path"
      var found: [ResolvedSweep.SAE] = []
      for layer in pattern.contains("{layer}") ? layers : [layers.first ?? 0] {
        for width in pattern.contains("{width}") ? widths : [""] {
          let expanded = pattern.replacing("{layer}", with: "\(layer)").replacing("{width}", with: width)
          let matches = state.collect { () throws(InputError) in try self.matches(expanded, l0: l0, key: key) }
          for match in matches ?? [] {
            let name = [width, match.l0.map { "l0-\($0)" }].compactMap { $0 }.filter { !$0.isEmpty }
            let resolved = state.collect { () throws(InputError) in
              try resolveFile(
                match.path, layer: layer, name: name.isEmpty ? lastPart(match.path) : name.joined(separator: "/"),
                model: model)
            }
            if let resolved { found.append(resolved) }
          }
        }
      }
      return found
    }
  }

  private func resolveFile(
    _ path: String, layer: Int, name: String, model: ResolvedSweep.Model
  ) throws(InputError) -> ResolvedSweep.SAE {
    let facts = try inspector.sae(at: path)
    guard facts.dimension == model.dimension else {
      throw InputError(
        path, expected: "an SAE for the model's residual stream, d = \(model.dimension)",
        found: "d = \(facts.dimension)",
        remedy: "name an SAE trained on this model")
    }
    let reference = FileReference(digest: try ContentDigest.of(path: path), locator: path)
    return .init(source: .file(reference), layer: layer, width: facts.width, name: name)
  }

  /// The files that a pattern with `{l0}` stands for: the listed values, or all that lie there.
  private func matches(
    _ pattern: String, l0: [String]?, key: String
  ) throws(InputError) -> [(path: String, l0: String?)] {
    guard let marker = pattern.range(of: "{l0}") else { return [(try existing(pattern, key: key), nil)] }
    if let l0 {
      var paths: [(path: String, l0: String?)] = []
      for value in l0 { paths.append((try existing(pattern.replacing("{l0}", with: value), key: key), value)) }
      return paths
    }
    let parts = pattern[..<marker.lowerBound].split(separator: "/", omittingEmptySubsequences: false)
    let prefix = String(parts.last ?? "")
    let rest = pattern[marker.upperBound...]
    let suffix = String(rest.prefix { $0 != "/" })
    let tail = String(rest.dropFirst(suffix.count))
    let parent = try existing(parts.dropLast().joined(separator: "/"), key: key)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
    let found = names.compactMap { name -> (path: String, l0: String?)? in
      guard name.hasPrefix(prefix), name.hasSuffix(suffix), name.count > prefix.count + suffix.count else { return nil }
      let path = parent + "/" + name + tail
      guard FileManager.default.fileExists(atPath: path) else { return nil }
      return (path, String(name.dropFirst(prefix.count).dropLast(suffix.count)))
    }
    guard !found.isEmpty else {
      throw InputError(key, expected: "files like \(pattern)", found: "none", remedy: "check the path, or list l0")
    }
    return found.sorted { (Int($0.l0 ?? "") ?? 0, $0.path) < (Int($1.l0 ?? "") ?? 0, $1.path) }
  }

  /// Stores a small file among the inputs, under its digest.
  func smallInput(
    _ path: String, key: String, into inputs: inout [Digest: [UInt8]]
  ) throws(InputError) -> Digest {
    let found = try existing(path, key: key)
    let size = ((try? FileManager.default.attributesOfItem(atPath: found))?[.size] as? Int) ?? 0
    guard size <= Self.smallInputLimit else {
      throw InputError(key, expected: "a file of at most 64 MiB", found: "\(size) bytes in \(found)")
    }
    guard let data = FileManager.default.contents(atPath: found) else {
      throw InputError(key, expected: "a readable file", found: "\(found), which can't be read")
    }
    let bytes = [UInt8](data)
    let digest = Digest(of: bytes)
    inputs[digest] = bytes
    return digest
  }

  /// The path at which a name of the sweep file exists: as it is, under the sweep's folder, or under `STEERSCOPE_FILES`.
  func existing(_ path: String, key: String) throws(InputError) -> String {
    var candidates = [
      path.hasPrefix("/")
        ? path : URL(fileURLWithPath: path, relativeTo: URL(fileURLWithPath: folder + "/")).standardizedFileURL.path
    ]
    if let filesFolder, !path.hasPrefix("/") { candidates.insert(filesFolder + "/" + path, at: 0) }
    for candidate in candidates where FileManager.default.fileExists(atPath: candidate) { return candidate }
    throw InputError(
      key, expected: "a file or directory at \(candidates.joined(separator: " or "))", found: "nothing there",
      remedy: "mend the path, or set STEERSCOPE_FILES to the folder that holds it")
  }

  private func lastPart(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
}
