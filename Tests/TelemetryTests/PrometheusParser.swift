/// Reads Prometheus' text format 0.0.4 strictly, by its specification and without our writer's help, so that a test of
/// the writer can fail.
struct PrometheusParser {
  struct Family: Equatable {
    var help: String
    var type: String
    var samples: [Sample] = []
  }

  struct Sample: Equatable {
    var name: String
    var labels: [String: String]
    var value: Double
  }

  struct Malformed: Error, Equatable { var line: Int, reason: String }

  private(set) var families: [String: Family] = [:]
  private var current: String?
  private var number = 0

  init(_ text: String) throws {
    var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { Array($0) }
    guard lines.popLast()?.isEmpty == true else { throw Malformed(line: 0, reason: "the last line does not end") }
    for line in lines {
      number += 1
      if line.starts(with: Array("# HELP ".unicodeScalars)) {
        try help(line.dropFirst(7))
      } else if line.starts(with: Array("# TYPE ".unicodeScalars)) {
        try type(line.dropFirst(7))
      } else {
        guard line.first != "#", !line.isEmpty else { throw error("a comment or an empty line") }
        try sample(line)
      }
    }
    for (name, family) in families {
      guard !family.type.isEmpty else { throw error("\(name) has no type") }
      if family.type == "histogram" { try checkHistogram(name, family) }
      if family.type == "counter", family.samples.contains(where: { !($0.value >= 0) }) {
        throw error("\(name) is a counter below zero")
      }
    }
  }

  func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
    families.values.lazy.flatMap(\.samples).first { $0.name == name && $0.labels == labels }?.value
  }

  private func error(_ reason: String) -> Malformed { Malformed(line: number, reason: reason) }

  private mutating func help(_ rest: ArraySlice<Unicode.Scalar>) throws {
    let (name, text) = try nameAndText(rest)
    guard families[name] == nil else { throw error("a second HELP of \(name)") }
    families[name] = Family(help: try unescaped(text[...], quoted: false), type: "")
    current = name
  }

  private mutating func type(_ rest: ArraySlice<Unicode.Scalar>) throws {
    let (name, text) = try nameAndText(rest)
    guard name == current, let family = families[name], family.type.isEmpty, family.samples.isEmpty else {
      throw error("TYPE does not follow HELP")
    }
    let type = string(text)
    guard ["counter", "gauge", "histogram", "summary", "untyped"].contains(type) else { throw error("type \(type)") }
    families[name]?.type = type
  }

  private func nameAndText(_ rest: ArraySlice<Unicode.Scalar>) throws -> (String, [Unicode.Scalar]) {
    guard let blank = rest.firstIndex(of: " ") else { throw error("nothing after the name") }
    let name = string(rest[..<blank])
    guard name.wholeMatch(of: /[a-zA-Z_:][a-zA-Z0-9_:]*/) != nil else { throw error("name \(name)") }
    return (name, Array(rest[rest.index(after: blank)...]))
  }

  private mutating func sample(_ line: [Unicode.Scalar]) throws {
    var at = line.firstIndex { $0 == "{" || $0 == " " } ?? line.endIndex
    let name = string(line[..<at])
    var labels: [String: String] = [:]
    if at < line.endIndex, line[at] == "{" {
      repeat {
        at += 1
        guard let equals = line[at...].firstIndex(of: "="), equals + 1 < line.endIndex, line[equals + 1] == "\"" else {
          throw error("a label without a value")
        }
        let label = string(line[at..<equals])
        guard label.wholeMatch(of: /[a-zA-Z_][a-zA-Z0-9_]*/) != nil, labels[label] == nil else {
          throw error("label \(label)")
        }
        var end = equals + 2
        while end < line.endIndex, line[end] != "\"" { end += line[end] == "\\" ? 2 : 1 }
        guard end < line.endIndex - 1 else { throw error("an open label value") }
        labels[label] = try unescaped(line[(equals + 2)..<end], quoted: true)
        at = end + 1
      } while line[at] == ","
      guard line[at] == "}" else { throw error("labels do not end") }
      at += 1
    }
    guard at < line.endIndex, line[at] == " " else { throw error("no value") }
    let text = string(line[(at + 1)...])
    let special = ["NaN": Double.nan, "+Inf": .infinity, "-Inf": -.infinity]
    guard
      let value = special[text]
        ?? (text.wholeMatch(of: /-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?/) == nil ? nil : Double(text))
    else { throw error("value \(text)") }
    guard let family = current, let type = families[family]?.type else { throw error("a sample before its family") }
    let suffixes = type == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
    guard suffixes.contains(where: { family + $0 == name }) else { throw error("\(name) is not of \(family)") }
    let sample = Sample(name: name, labels: labels, value: value)
    guard families[family]?.samples.contains(where: { $0.name == name && $0.labels == labels }) == false else {
      throw error("a second \(name)")
    }
    families[family]?.samples.append(sample)
  }

  private func checkHistogram(_ name: String, _ family: Family) throws {
    let series = Dictionary(grouping: family.samples) { sample in sample.labels.filter { $0.key != "le" } }
    for (labels, samples) in series {
      let buckets = samples.filter { $0.name == name + "_bucket" }
      let borders = try buckets.map { bucket in
        guard let le = bucket.labels["le"], let border = le == "+Inf" ? .infinity : Double(le) else {
          throw error("\(name): a bucket without border")
        }
        return border
      }
      guard borders.last == .infinity, zip(borders, borders.dropFirst()).allSatisfy({ $0 < $1 }),
        zip(buckets, buckets.dropFirst()).allSatisfy({ $0.value <= $1.value })
      else { throw error("\(name)\(labels): buckets do not rise to +Inf") }
      let counts = samples.filter { $0.name == name + "_count" }
      guard counts.count == 1, counts[0].value == buckets.last?.value,
        samples.count(where: { $0.name == name + "_sum" }) == 1
      else { throw error("\(name)\(labels): sum or count") }
    }
  }

  private func unescaped(_ text: ArraySlice<Unicode.Scalar>, quoted: Bool) throws -> String {
    var result = String.UnicodeScalarView()
    var rest = text
    while let scalar = rest.popFirst() {
      guard scalar == "\\" else {
        result.append(scalar)
        continue
      }
      switch rest.popFirst() {
      case "\\": result.append("\\")
      case "n": result.append("\n")
      case "\"" where quoted: result.append("\"")
      default: throw error("an escape that does not exist")
      }
    }
    return String(result)
  }

  private func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    String(String.UnicodeScalarView(scalars))
  }
}
