package import Diagnostics
internal import SweepRecords
internal import Yams

extension SweepSpecification {
  /// Reads a sweep file's text.
  ///
  /// - Parameters:
  ///   - name: the file's name, as errors show it.
  ///   - environment: what `${VAR}` stands for.
  /// - Throws: `InputErrors` with everything that is wrong, each with its line and key.
  package init(yaml text: String, name: String, environment: [String: String]) throws(InputErrors) {
    let document: SweepDocument
    do {
      document = try SweepDocument(text, name: name, environment: environment)
    } catch {
      throw InputErrors([error])
    }
    let specification = SpecificationReader(document: document).read()
    guard document.errors.isEmpty, let specification else { throw InputErrors(document.errors) }
    self = specification
  }
}

/// Turns the nodes of a sweep file into a specification, section by section; errors gather in the document.
private struct SpecificationReader {
  let document: SweepDocument

  func read() -> SweepSpecification? {
    let root = document.root
    let values = document.mapping(root, "", keys: SweepKeys.root)
    func section(_ key: String) -> Node? { document.required(values, key, in: "", at: root) }

    let name = document.text(section("name"), "name")
    let model = section("model").flatMap(model)
    let activations = section("activations").flatMap(activations)
    let behaviours = section("behaviours").map { document.sequence($0).enumerated().compactMap(behaviour) }
    let layersNode = section("layers")
    let layers = layersNode.flatMap(layers)
    let saes = values["saes"].map { document.sequence($0).enumerated().flatMap(sae) } ?? []
    let (methods, sparsities) = decompose(values["decompose"])
    let steer = steer(values["steer"], methods: methods, sparsities: sparsities)
    let sideEffects = values["side_effects"].flatMap(sideEffects)
    let keep = document.choice(values["keep"], "keep", SweepKeys.Keep.self) ?? .summary
    let priority = document.choice(values["priority"], "priority", SweepPriority.self) ?? .normal
    let seed = document.integer(values["seed"], "seed", in: 0...Int.max) ?? 0
    if let behaviours { checkNames(behaviours) }

    guard let name, let model, let activations, let behaviours, let layers, let steer else { return nil }
    return SweepSpecification(
      name: name, model: model, activations: activations, behaviours: behaviours, layers: layers,
      layersLine: layersNode?.mark?.line ?? 0, saes: saes, methods: methods, sparsities: sparsities, steer: steer,
      sideEffects: sideEffects, keepQuestions: keep == .questions, priority: priority, seed: UInt64(seed))
  }

  private func model(_ node: Node) -> SweepSpecification.Model? {
    if node.scalar != nil {
      return document.text(node, "model").map {
        .init(path: $0, prompt: nil, weights: "as-stored", line: node.mark?.line ?? 0)
      }
    }
    let values = document.mapping(node, "model", keys: SweepKeys.model)
    guard let path = document.text(document.required(values, "path", in: "model", at: node), "model.path") else {
      return nil
    }
    let weights = document.choice(values["dtype"], "model.dtype", SweepKeys.Weights.self) ?? .asStored
    return .init(
      path: path, prompt: document.text(values["prompt"], "model.prompt"), weights: weights.rawValue,
      line: node.mark?.line ?? 0)
  }

  private func activations(_ node: Node) -> SweepSpecification.Activations? {
    let values = document.mapping(node, "activations", keys: SweepKeys.activations)
    let range = 256...1_000_000_000
    if let sample = values["sample"] {
      guard values["text"] == nil, values["tokens"] == nil else {
        document.report(node, "activations", expected: "either sample, or text with tokens", found: "both")
        return nil
      }
      return document.integer(sample, "activations.sample", in: range).map { .sample(tokens: $0) }
    }
    let text = document.text(document.required(values, "text", in: "activations", at: node), "activations.text")
    let tokens = document.integer(
      document.required(values, "tokens", in: "activations", at: node), "activations.tokens", in: range)
    guard let text, let tokens else { return nil }
    return .text(path: text, tokens: tokens, line: node.mark?.line ?? 0)
  }

  private func behaviour(_ index: Int, _ node: Node) -> SweepSpecification.Behaviour? {
    let key = "behaviours[\(index)]"
    let values = document.mapping(node, key, keys: SweepKeys.behaviour)
    let name = document.text(document.required(values, "name", in: key, at: node), "\(key).name")
    let extract = document.text(values["extract"], "\(key).extract")
    let vector = document.text(values["vector"], "\(key).vector")
    if (values["extract"] == nil) == (values["vector"] == nil) {
      document.report(
        node, key, expected: "extract (a contrast set) or vector (a finished one)",
        found: values["extract"] == nil ? "neither" : "both")
    }
    if let name, name.contains(where: { !($0.isLetter || $0.isNumber || "-_.".contains($0)) }) {
      document.report(values["name"], "\(key).name", expected: "letters, digits, - _ .", found: "\"\(name)\"")
    }
    let source: SweepSpecification.Behaviour.Source? = extract.map { .extract($0) } ?? vector.map { .vector($0) }
    let behaviour = source.map {
      SweepSpecification.Behaviour(
        name: name ?? "", source: $0, evaluate: document.text(values["evaluate"], "\(key).evaluate"),
        limit: document.integer(values["limit"], "\(key).limit", in: 2...1_000_000),
        questions: document.integer(values["questions"], "\(key).questions", in: 1...1_000_000),
        read: document.choice(values["read"], "\(key).read", ReadPosition.self), line: node.mark?.line ?? 0)
    }
    return name == nil ? nil : behaviour
  }

  private func checkNames(_ behaviours: [SweepSpecification.Behaviour]) {
    if behaviours.isEmpty {
      document.report(document.root, "behaviours", expected: "at least one behaviour", found: "none")
    }
    var seen: Set<String> = []
    for behaviour in behaviours where !seen.insert(behaviour.name).inserted {
      document.report(
        line: behaviour.line, "behaviours", expected: "each name once", found: "\"\(behaviour.name)\" twice")
    }
  }

  private func layers(_ node: Node) -> String? {
    let parts = document.values(node, "layers") { document.text($0, "layers") }
    return parts.isEmpty ? nil : parts.joined(separator: ",")
  }

  private func sae(_ index: Int, _ node: Node) -> [SweepSpecification.SAE] {
    let key = "saes[\(index)]"
    let line = node.mark?.line ?? 0
    let values = document.mapping(node, key, keys: SweepKeys.sae)
    if let train = values["train"] {
      if values.count > 1 { document.report(node, key, expected: "train alone, or path", found: "both") }
      return training(train, "\(key).train").map { [.init(source: .train($0), line: line)] } ?? []
    }
    guard let path = document.text(document.required(values, "path", in: key, at: node), "\(key).path") else {
      return []
    }
    let widths =
      values["widths"].map { document.values($0, "\(key).widths") { document.text($0, "\(key).widths") } } ?? []
    let l0 = values["l0"].map { document.values($0, "\(key).l0") { document.text($0, "\(key).l0") } }
    if path.contains("{width}") && widths.isEmpty {
      document.report(node, "\(key).widths", expected: "widths for {width} in the path", found: "none")
    }
    return [.init(source: .path(path, widths: widths, l0: l0 == ["all"] ? nil : l0), line: line)]
  }

  private func training(_ node: Node, _ key: String) -> SweepSpecification.Training? {
    let values = document.mapping(node, key, keys: SweepKeys.train)
    let widths = document.required(values, "widths", in: key, at: node).map {
      document.values($0, "\(key).widths") { document.integer($0, "\(key).widths", in: 2...1 << 20) }
    }
    guard let widths else { return nil }
    return .init(
      widths: widths, sparsity: document.integer(values["sparsity"], "\(key).sparsity", in: 1...4096) ?? 32,
      steps: document.integer(values["steps"], "\(key).steps", in: 1...10_000_000) ?? 1500,
      batch: document.integer(values["batch"], "\(key).batch", in: 2...65_536) ?? 1024,
      learningRate: document.positiveNumber(values["learning_rate"], "\(key).learning_rate") ?? 0.002,
      architecture: document.choice(
        values["architecture"], "\(key).architecture", TrainingPlan.Architecture.self) ?? .batchTopK)
  }

  private func decompose(_ node: Node?) -> (methods: [String], sparsities: [Sparsity]) {
    let values = node.map { document.mapping($0, "decompose", keys: SweepKeys.decompose) } ?? [:]
    let methods = values["methods"].map {
      document.values($0, "decompose.methods") {
        document.choice($0, "decompose.methods", SweepKeys.Method.self)?.rawValue
      }
    }
    let sparsities = values["sparsity"].map { self.sparsities($0, "decompose.sparsity") } ?? [.atoms(32), .all]
    if sparsities == [.all], let pursuit = methods?.first(where: DecompositionNaming.isPursuit) {
      document.report(
        values["sparsity"], "decompose.sparsity", expected: "a number of atoms at which \(pursuit) stops",
        found: "only all")
    }
    return (methods ?? SweepSpecification.methods, sparsities)
  }

  private func sparsities(_ node: Node, _ key: String) -> [Sparsity] {
    let list: [Sparsity] = document.values(node, key) { item in
      item.scalar?.string == "all" ? .all : document.integer(item, key, in: 1...65_536).map { .atoms($0) }
    }
    return list.sorted { ($0.atoms ?? .max) < ($1.atoms ?? .max) }
  }

  private func steer(
    _ node: Node?, methods: [String], sparsities all: [Sparsity]
  ) -> SweepSpecification.Steer? {
    let values =
      node.map { document.mapping($0, "steer", keys: SweepKeys.steer) } ?? [:]
    let norms = values["norms"].map {
      document.values($0, "steer.norms") { document.choice($0, "steer.norms", SteeringVariant.Norm.self) }
    }
    let controls = controls(values["controls"])
    if controls.pairDifferenceError && !methods.contains("pair-difference") {
      document.report(
        values["controls"], "steer.controls", expected: "pair-difference among decompose.methods",
        found: "pair-difference-error without it")
    }
    return .init(
      coefficients: coefficients(values["coefficients"]),
      unit: document.choice(values["unit"], "steer.unit", CoefficientUnit.self) ?? .vector,
      positions: document.choice(values["positions"], "steer.positions", SteeredPositions.self) ?? .scored,
      score: document.choice(values["score"], "steer.score", AnswerScore.self) ?? .perToken,
      norms: SteeringVariant.Norm.allCases.filter { norms?.contains($0) ?? true },
      controls: controls, sparsities: steeredSparsities(values["sparsity"], of: all))
  }

  /// The model can be steered only with what was decomposed.
  private func steeredSparsities(_ node: Node?, of all: [Sparsity]) -> [Sparsity] {
    guard let node else { return all }
    let chosen = sparsities(node, "steer.sparsity")
    for sparsity in chosen where !all.contains(sparsity) {
      document.report(
        node, "steer.sparsity",
        expected: "some of decompose.sparsity (\(all.map(\.description).joined(separator: ", ")))",
        found: sparsity.description)
    }
    return chosen
  }

  private func coefficients(_ node: Node?) -> [Double] {
    guard let node else { return [-2, -1, 0, 1, 2] }
    let text = document.sequence(node).compactMap { document.text($0, "steer.coefficients") }.joined(separator: ",")
    do {
      let values = try NumberList.parse(text, subject: "coefficients")
      if Set(values).count < 2 {
        document.report(node, "steer.coefficients", expected: "at least two values (a slope needs them)", found: text)
      }
      // -0 is 0: they are the same coefficient, and must be the same bits.
      return Array(Set(values.map { $0 == 0 ? 0 : $0 })).sorted()
    } catch {
      document.report(node, "steer.coefficients", expected: error.expected, found: error.found)
      return []
    }
  }

  private func controls(_ node: Node?) -> SweepSpecification.Controls {
    var controls = SweepSpecification.Controls()
    guard let node else {
      return .init(zeroVector: true, random: 2, shuffled: true, untrainedDictionary: true, pairDifferenceError: false)
    }
    for item in document.sequence(node) {
      if item.mapping != nil {
        let values = document.mapping(item, "steer.controls", keys: ["random"])
        controls.random = document.integer(values["random"], "steer.controls.random", in: 0...1000) ?? controls.random
        continue
      }
      switch document.choice(item, "steer.controls", SweepKeys.Control.self) {
      case .zeroVector: controls.zeroVector = true
      case .random: controls.random = max(controls.random, 1)
      case .shuffled: controls.shuffled = true
      case .untrainedDictionary: controls.untrainedDictionary = true
      case .pairDifferenceError: controls.pairDifferenceError = true
      case nil: break
      }
    }
    return controls
  }

  private func sideEffects(_ node: Node) -> SweepSpecification.SideEffects? {
    let values = document.mapping(node, "side_effects", keys: SweepKeys.sideEffects)
    let text = document.text(document.required(values, "text", in: "side_effects", at: node), "side_effects.text")
    let tokens = document.integer(values["tokens"], "side_effects.tokens", in: 16...10_000_000) ?? 2000
    return text.map { .init(text: $0, tokens: tokens, line: node.mark?.line ?? 0) }
  }
}

extension Sparsity {
  /// k; nil for the whole code.
  fileprivate var atoms: Int? { if case .atoms(let count) = self { count } else { nil } }
}
