internal import Diagnostics
internal import Foundation
internal import SweepRecords

/// Finding, checking and digesting what a sweep names.
extension SweepResolver {
  func resolveModel(
    _ model: SweepSpecification.Model, _ state: State
  ) -> (model: ResolvedSweep.Model, path: String)? {
    let key = "\(file):\(model.line): model"
    let template = state.collect { () throws(InputError) in
      try inspector.template(model.prompt, relativeTo: folder)
    }
    return state.collect { () throws(InputError) in
      let found = try existing(model.path, key: key + ".path")
      let facts = try inspector.model(at: found.path)
      let resolved = ResolvedSweep.Model(
        reference: ModelReference(
          digest: try digests(found.path), weights: model.weights, template: template ?? ""),
        locator: found.locator, layers: facts.layers, dimension: facts.dimension,
        vocabulary: facts.vocabulary, blockParameters: facts.blockParameters, contextLength: facts.contextLength)
      return (resolved, found.path)
    }
  }

  func resolveActivations(
    _ activations: SweepSpecification.Activations, _ shape: Shape?, _ state: State
  ) -> ResolvedSweep.Activations? {
    let length = min(Self.contextLength, shape?.model.contextLength ?? .max)
    switch activations {
    case .sample(let tokens): return .sample(tokens: tokens, length: length)
    case .text(let path, let tokens, let line):
      return state.collect { () throws(InputError) in
        let key = "\(file):\(line): activations"
        let (digest, count) = try text(path, key: key, least: 256, shape, state)
        return .text(digest, tokens: min(tokens, count), context: length)
      }
    }
  }

  func resolveSideEffects(
    _ effects: SweepSpecification.SideEffects, _ shape: Shape?, _ state: State
  ) -> ResolvedSweep.SideEffects? {
    state.collect { () throws(InputError) in
      let (digest, count) = try text(
        effects.text, key: "\(file):\(effects.line): side_effects", least: 16, shape, state)
      return ResolvedSweep.SideEffects(
        text: digest, tokens: min(effects.tokens, count),
        context: min(Self.contextLength, (shape?.model.contextLength ?? .max) - 1))
    }
  }

  /// A text and how many tokens it has: at least `least`.
  private func text(
    _ path: String, key: String, least: Int, _ shape: Shape?, _ state: State
  ) throws(InputError) -> (digest: Digest, tokens: Int) {
    let digest = try smallInput(path, key: key + ".text", into: &state.inputs)
    guard let shape else { return (digest, least) }
    let count = try inspector.tokenCount(of: state.inputs[digest] ?? [], modelAt: shape.modelPath)
    guard count >= least else {
      throw InputError(key + ".text", expected: "a text of at least \(least) tokens", found: "\(count) in \(path)")
    }
    return (digest, count)
  }

  func resolveBehaviour(
    _ behaviour: SweepSpecification.Behaviour, _ shape: Shape?, _ state: State
  ) -> ResolvedSweep.Behaviour? {
    let key = "\(file):\(behaviour.line): behaviours.\(behaviour.name)"
    let none = ResolvedSweep.TokenEstimate(prompt: 0, answer: 0)
    var resolved = ResolvedSweep.Behaviour(
      name: behaviour.name, contrast: nil, vector: nil, pairs: 0, questions: nil, questionCount: 0,
      read: behaviour.read ?? .answerMean, pairTokens: none, questionTokens: none)
    state.collect { () throws(InputError) in
      switch behaviour.source {
      case .extract(let path):
        let digest = try smallInput(path, key: key + ".extract", into: &state.inputs)
        let facts = try inspector.contrastSet(state.inputs[digest] ?? [], name: path)
        guard facts.count >= 2 else {
          throw InputError(key + ".extract", expected: "at least two pairs", found: "\(facts.count) in \(path)")
        }
        resolved.contrast = digest
        resolved.pairs = min(facts.count, behaviour.limit ?? .max)
        resolved.read = behaviour.read ?? facts.read
        resolved.pairTokens = facts.tokens
        try check(pairs: resolved.pairs, of: state.inputs[digest] ?? [], name: path, shape)
      case .vector(let path):
        let found = try existing(path, key: key + ".vector", besideFirst: true)
        if let shape {
          try inspector.checkVector(at: found.path, layers: shape.layers, dimension: shape.model.dimension)
        }
        resolved.vector = try smallInput(path, key: key + ".vector", into: &state.inputs)
      }
    }
    state.collect { () throws(InputError) in
      guard let path = behaviour.evaluate else { return }
      let digest = try smallInput(path, key: key + ".evaluate", into: &state.inputs)
      let facts = try inspector.contrastSet(state.inputs[digest] ?? [], name: path)
      guard facts.count > 0 else {
        throw InputError(key + ".evaluate", expected: "at least one question", found: "none in \(path)")
      }
      resolved.questions = digest
      resolved.questionCount = min(facts.count, behaviour.questions ?? .max)
      resolved.questionTokens = facts.tokens
      try check(pairs: resolved.questionCount, of: state.inputs[digest] ?? [], name: path, shape)
    }
    return resolved
  }

  /// Finds now what would otherwise park a task hours later.
  private func check(pairs count: Int, of bytes: [UInt8], name: String, _ shape: Shape?) throws(InputError) {
    guard let shape else { return }
    try inspector.checkPairs(
      bytes, name: name, count: count, modelAt: shape.modelPath, template: shape.model.reference.template)
  }

  /// Stores a small file among the inputs, under its digest.
  func smallInput(
    _ path: String, key: String, into inputs: inout [Digest: [UInt8]]
  ) throws(InputError) -> Digest {
    let found = try existing(path, key: key, besideFirst: true).path
    let attributes = (try? FileManager.default.attributesOfItem(atPath: found)) ?? [:]
    guard attributes[.type] as? FileAttributeType != .typeDirectory else {
      throw InputError(key, expected: "a file", found: "the directory \(found)")
    }
    let size = attributes[.size] as? Int ?? 0
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

  /// Where a name of the sweep file was found.
  struct FoundFile {
    /// The file on this machine.
    let path: String
    /// What other machines look for: the name as written where it lies under `STEERSCOPE_FILES`, else the path.
    let locator: String
  }

  /// Where a name of the sweep file exists: as it is, under `STEERSCOPE_FILES`, or under the sweep's folder.
  ///
  /// - Parameter besideFirst: what lies beside the sweep wins, as it should for small inputs; models and SAEs are rather looked
  ///   for under `STEERSCOPE_FILES`.
  func existing(_ name: String, key: String, besideFirst: Bool = false) throws(InputError) -> FoundFile {
    var candidates: [FoundFile] = []
    if name.hasPrefix("/") {
      candidates = [FoundFile(path: name, locator: name)]
    } else {
      if let filesFolder { candidates.append(FoundFile(path: filesFolder + "/" + name, locator: name)) }
      let beside = URL(fileURLWithPath: name, relativeTo: URL(fileURLWithPath: folder + "/")).standardizedFileURL.path
      candidates.insert(FoundFile(path: beside, locator: beside), at: besideFirst ? 0 : candidates.count)
    }
    for candidate in candidates where FileManager.default.fileExists(atPath: candidate.path) { return candidate }
    throw InputError(
      key, expected: "a file or directory at \(candidates.map(\.path).joined(separator: " or "))",
      found: "nothing there", remedy: "mend the path, or set STEERSCOPE_FILES to the folder that holds it")
  }
}
