internal import Diagnostics
internal import Foundation
internal import Yams

/// A YAML document that is read key by key, gathering every error with its line instead of stopping at the first.
final class SweepDocument {
  /// The file's name, as errors show it.
  let name: String
  let root: Node
  private var reported: [(line: Int, error: InputError)] = []
  private let environment: [String: String]

  /// Parses the text.
  ///
  /// - Parameter environment: what `${VAR}` stands for.
  /// - Throws: `InputError` with the line for what is no YAML or no mapping.
  init(_ text: String, name: String, environment: [String: String]) throws(InputError) {
    self.name = name
    self.environment = environment
    guard text.utf8.count <= 1 << 20 else {
      throw InputError(name, expected: "a sweep file of at most 1 MiB", found: "\(text.utf8.count) bytes")
    }
    // An alias costs nothing to write and, nested, exponentially much to walk; a sweep file needs none.
    if let line = AliasScan.line(in: text) {
      throw InputError(
        "\(name):\(line)", expected: "values written out", found: "an anchor or alias (& or *)",
        remedy: "write the value again, or put the text in quotes")
    }
    do {
      guard let root = try Yams.compose(yaml: text), root.mapping != nil else {
        throw InputError("\(name):1", expected: "a mapping of sweep keys (name, model, behaviours ...)", found: "none")
      }
      self.root = root
    } catch let error as InputError {
      throw error
    } catch {
      throw SweepDocument.syntaxError(error, name: name)
    }
  }

  private static func syntaxError(_ error: any Error, name: String) -> InputError {
    switch error {
    case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _):
      return InputError("\(name):\(mark.line)", expected: "YAML", found: problem)
    case YamlError.duplicatedKeysInMapping(let duplicates, let context):
      return InputError(
        "\(name):\(context.mark.line)", expected: "each key once",
        found: "\(duplicates.sorted().joined(separator: ", ")) more than once")
    default:
      return InputError(name, expected: "YAML in UTF-8", found: "\(error)".replacing("\n", with: " "))
    }
  }

  /// Everything that is wrong, by line, and in the order of its finding within a line.
  var errors: [InputError] {
    reported.enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }.map(\.element.error)
  }

  /// Notes an error at a node's line.
  func report(_ node: Node?, _ key: String, expected: String, found: String, remedy: String = "") {
    report(line: node?.mark?.line, key, expected: expected, found: found, remedy: remedy)
  }

  /// Notes an error at a line.
  func report(line: Int?, _ key: String, expected: String, found: String, remedy: String = "") {
    let place = line.map { ":\($0)" } ?? ""
    reported.append(
      (line ?? 0, InputError("\(name)\(place): \(key)", expected: expected, found: found, remedy: remedy)))
  }

  /// The values of a mapping under the known keys; any other key is an error with the nearest known one as suggestion.
  func mapping(_ node: Node, _ key: String, keys: [String]) -> [String: Node] {
    guard let mapping = node.mapping else {
      report(node, key, expected: "a mapping with \(keys.joined(separator: ", "))", found: describe(node))
      return [:]
    }
    var values: [String: Node] = [:]
    for (name, value) in mapping {
      let text = name.string ?? ""
      if keys.contains(text) {
        values[text] = value
      } else {
        let near = SpellingSuggestion.nearest(to: text, among: keys)
        report(
          name, key.isEmpty ? text : "\(key).\(text)", expected: "one of \(keys.joined(separator: ", "))",
          found: "an unknown key", remedy: near.map { "did you mean \($0)?" } ?? "")
      }
    }
    return values
  }

  /// The items of a sequence; a single value stands for a sequence of one.
  func sequence(_ node: Node) -> [Node] { node.sequence.map(Array.init) ?? [node] }

  /// The values that some reader makes of the items of a sequence, each once; an empty sequence is an error.
  func values<Value: Hashable>(_ node: Node, _ key: String, _ read: (Node) -> Value?) -> [Value] {
    let items = sequence(node)
    if items.isEmpty { report(node, key, expected: "at least one", found: "an empty list") }
    var seen: Set<Value> = []
    return items.compactMap { item in
      guard let value = read(item) else { return nil }
      if !seen.insert(value).inserted { report(item, key, expected: "each value once", found: describe(item)) }
      return value
    }
  }

  /// A scalar's text with `${VAR}` replaced.
  func text(_ node: Node?, _ key: String) -> String? {
    guard let node else { return nil }
    guard let text = node.scalar?.string, !text.isEmpty, node.scalar?.style != .plain || text != "~" else {
      report(node, key, expected: "a text", found: describe(node))
      return nil
    }
    return expandingEnvironment(text, node, key)
  }

  /// A whole number within bounds.
  func integer(_ node: Node?, _ key: String, in range: ClosedRange<Int>) -> Int? {
    guard let node else { return nil }
    guard let value = node.scalar.flatMap({ Int($0.string.replacing("_", with: "")) }), range.contains(value) else {
      report(
        node, key, expected: "a whole number from \(range.lowerBound) to \(range.upperBound)", found: describe(node))
      return nil
    }
    return value
  }

  /// A finite number above zero.
  func positiveNumber(_ node: Node?, _ key: String) -> Double? {
    guard let node else { return nil }
    guard let value = node.scalar.flatMap({ Double($0.string) }), value.isFinite, value > 0 else {
      report(node, key, expected: "a number above 0", found: describe(node))
      return nil
    }
    return value
  }

  /// One of a closed set of words.
  func choice<Choice: RawRepresentable & CaseIterable>(_ node: Node?, _ key: String, _ type: Choice.Type) -> Choice?
  where Choice.RawValue == String {
    guard let node else { return nil }
    let text = node.scalar?.string ?? ""
    if let choice = Choice(rawValue: text) { return choice }
    let words = Choice.allCases.map(\.rawValue)
    let near = SpellingSuggestion.nearest(to: text, among: words)
    report(
      node, key, expected: "one of \(words.joined(separator: ", "))", found: describe(node),
      remedy: near.map { "did you mean \($0)?" } ?? "")
    return nil
  }

  /// The node of a key that must be there.
  func required(_ values: [String: Node], _ key: String, in parent: String, at node: Node) -> Node? {
    if let value = values[key] { return value }
    report(node, parent.isEmpty ? key : "\(parent).\(key)", expected: "this key", found: "nothing")
    return nil
  }

  /// In words, what stands at a node, for errors.
  func describe(_ node: Node) -> String {
    switch node {
    case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "\"\(scalar.string.prefix(80))\""
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }

  private func expandingEnvironment(_ text: String, _ node: Node, _ key: String) -> String? {
    var result = ""
    var rest = text[...]
    while let start = rest.range(of: "${") {
      guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
        report(node, key, expected: "\"}\" after \"${\"", found: "\"\(text)\"")
        return nil
      }
      let variable = String(rest[start.upperBound..<end])
      guard let value = environment[variable] else {
        report(
          node, key, expected: "the environment variable \(variable)", found: "no such variable",
          remedy: "export \(variable)=... and run again")
        return nil
      }
      result += rest[..<start.lowerBound] + value
      rest = rest[rest.index(after: end)...]
    }
    return result + rest
  }
}
