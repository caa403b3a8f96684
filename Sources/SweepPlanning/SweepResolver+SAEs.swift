internal import Diagnostics
internal import Foundation
internal import SweepRecords

/// The SAEs of a sweep: patterns expanded over layers, widths and L0, files checked against the model.
extension SweepResolver {
  func resolveSAE(
    _ sae: SweepSpecification.SAE, _ shape: Shape?, seed: UInt64, _ state: State
  ) -> [ResolvedSweep.SAE] {
    switch sae.source {
    case .train(let training):
      return (shape?.layers ?? []).flatMap { layer in
        training.widths.map { width in
          let plan = TrainingPlan(
            architecture: training.architecture, width: width, sparsity: min(training.sparsity, width),
            steps: training.steps, batch: training.batch, learningRate: training.learningRate, seed: seed)
          return .init(source: .train(plan), layer: layer, width: width, name: "trained-\(width)")
        }
      }
    case .path(let pattern, let widths, let l0):
      guard let shape else { return [] }
      let key = "\(file):\(sae.line): saes.path"
      let layers: [Int?] = pattern.contains("{layer}") ? shape.layers.map { $0 } : [nil]
      return layers.flatMap { layer in
        (pattern.contains("{width}") ? widths : [""]).flatMap { width in
          let expanded = pattern.replacing("{layer}", with: layer.map(String.init) ?? "")
            .replacing("{width}", with: width)
          let matches = state.collect { () throws(InputError) in try self.matches(expanded, l0: l0, key: key, state) }
          return (matches ?? []).compactMap { match in
            state.collect { () throws(InputError) in
              try resolveFile(match, layer: layer, width: width, shape, key: key)
            }
          }
        }
      }
    }
  }

  /// Rows tell SAEs of a layer apart by their names.
  func checkNames(of saes: [ResolvedSweep.SAE], _ specification: SweepSpecification, _ state: State) {
    var seen: Set<String> = []
    for one in saes where !seen.insert("\(one.layer) \(one.name)").inserted {
      let line = specification.saes.last?.line ?? 0
      state.report(
        InputError(
          "\(file):\(line): saes", expected: "SAEs of a layer that differ in width, l0 or file name",
          found: "\"\(one.name)\" twice at layer \(one.layer)"))
    }
  }

  private func resolveFile(
    _ match: Match, layer: Int?, width: String, _ shape: Shape, key: String
  ) throws(InputError) -> ResolvedSweep.SAE {
    let path = match.file.path
    let facts = try inspector.sae(at: path)
    guard facts.dimension == shape.model.dimension else {
      throw InputError(
        path, expected: "an SAE for the model's residual stream, d = \(shape.model.dimension)",
        found: "d = \(facts.dimension)", remedy: "name an SAE trained on this model")
    }
    if let layer, let own = facts.layer, own != layer {
      throw InputError(path, expected: "an SAE of layer \(layer)", found: "one that says it is of layer \(own)")
    }
    guard let layer = layer ?? facts.layer ?? (shape.layers.count == 1 ? shape.layers.first : nil) else {
      throw InputError(
        key, expected: "{layer} in the path, as the sweep has \(shape.layers.count) layers",
        found: "\(match.file.locator), which doesn't say its layer", remedy: "put {layer} where the layer's number is")
    }
    guard shape.layers.contains(layer) else {
      throw InputError(
        path, expected: "an SAE of one of the sweep's layers",
        found: "one of layer \(layer)", remedy: "add \(layer) to layers, or leave this SAE out")
    }
    let parts = [width, match.l0.map { "l0-\($0)" } ?? ""].filter { !$0.isEmpty }
    let last = path.split(separator: "/").last.map(String.init) ?? path
    let reference = FileReference(digest: try digests(path), locator: match.file.locator)
    return .init(
      source: .file(reference), layer: layer, width: facts.width,
      name: parts.isEmpty ? last : parts.joined(separator: "/"))
  }

  /// A file that a pattern stands for, and what stood for `{l0}`.
  private struct Match {
    let file: FoundFile
    let l0: String?
  }

  /// The files that a pattern with `{l0}` stands for: the listed values (all missing ones are reported), or all that lie there.
  private func matches(_ pattern: String, l0: [String]?, key: String, _ state: State) throws(InputError) -> [Match] {
    guard let marker = pattern.range(of: "{l0}") else { return [Match(file: try existing(pattern, key: key), l0: nil)] }
    if let l0 {
      return l0.compactMap { value in
        state.collect { () throws(InputError) in
          Match(file: try existing(pattern.replacing("{l0}", with: value), key: key), l0: value)
        }
      }
    }
    let parts = pattern[..<marker.lowerBound].split(separator: "/", omittingEmptySubsequences: false)
    let prefix = String(parts.last ?? "")
    let rest = pattern[marker.upperBound...]
    let suffix = String(rest.prefix { $0 != "/" })
    let tail = String(rest.dropFirst(suffix.count))
    let folder = parts.dropLast().joined(separator: "/")
    let parent = try existing(folder.isEmpty ? (pattern.hasPrefix("/") ? "/" : ".") : folder, key: key)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: parent.path)) ?? []
    let found = names.compactMap { name -> Match? in
      guard name.hasPrefix(prefix), name.hasSuffix(suffix), name.count > prefix.count + suffix.count else { return nil }
      let place = "/" + name + tail
      guard FileManager.default.fileExists(atPath: parent.path + place) else { return nil }
      return Match(
        file: FoundFile(path: parent.path + place, locator: parent.locator + place),
        l0: String(name.dropFirst(prefix.count).dropLast(suffix.count)))
    }
    guard !found.isEmpty else {
      throw InputError(key, expected: "files like \(pattern)", found: "none", remedy: "check the path, or list l0")
    }
    return found.sorted { (Int($0.l0 ?? "") ?? 0, $0.file.path) < (Int($1.l0 ?? "") ?? 0, $1.file.path) }
  }
}
