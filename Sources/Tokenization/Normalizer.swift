internal import Diagnostics
internal import Foundation

/// What is done to a text before it is cut into words.
enum NormalizationStep: Sendable {
  case canonicalComposition
  case canonicalDecomposition
  case compatibilityComposition
  case compatibilityDecomposition
  case replaceText([UInt8], with: [UInt8])
  case replacePattern(RegularExpression, with: [UInt8])
  case prepend([UInt8])

  /// - Parameter text: valid UTF-8.
  func apply(_ text: [UInt8]) throws(InputError) -> [UInt8] {
    switch self {
    case .canonicalComposition: return Self.map(text, \.precomposedStringWithCanonicalMapping)
    case .canonicalDecomposition: return Self.map(text, \.decomposedStringWithCanonicalMapping)
    case .compatibilityComposition: return Self.map(text, \.precomposedStringWithCompatibilityMapping)
    case .compatibilityDecomposition: return Self.map(text, \.decomposedStringWithCompatibilityMapping)
    case .replaceText(let old, let new):
      return Self.replace(ByteSearch.ranges(of: old, in: text, 0..<text.count), with: new, in: text)
    case .replacePattern(let expression, let new):
      var matches: [Range<Int>] = []
      let search = try expression.search(longest: text.count)
      try search.appendMatches(in: text, 0..<text.count, to: &matches)
      if matches.contains(where: \.isEmpty) {
        throw InputError(
          expression.subject, expected: "a pattern that matches no empty text, where implementations differ",
          found: "one that does")
      }
      return Self.replace(matches, with: new, in: text)
    case .prepend(let prefix): return text.isEmpty ? text : prefix + text
    }
  }

  private static func map(_ text: [UInt8], _ form: KeyPath<String, String>) -> [UInt8] {
    // Text in ASCII is its own normal form.
    if text.allSatisfy({ $0 < 0x80 }) { return text }
    return Array(String(decoding: text, as: UTF8.self)[keyPath: form].utf8)
  }

  private static func replace(_ matches: [Range<Int>], with new: [UInt8], in text: [UInt8]) -> [UInt8] {
    if matches.isEmpty { return text }
    var result: [UInt8] = []
    result.reserveCapacity(text.count + matches.count * new.count)
    var position = 0
    for match in matches {
      result.append(contentsOf: text[position..<match.lowerBound])
      result.append(contentsOf: new)
      position = match.upperBound
    }
    result.append(contentsOf: text[position...])
    return result
  }
}

/// Finds bytes in bytes.
enum ByteSearch {
  /// Where `needle` occurs in `bytes[range]`, from left to right, without overlaps; nowhere if it is empty.
  static func ranges(of needle: [UInt8], in bytes: [UInt8], _ range: Range<Int>) -> [Range<Int>] {
    guard let first = needle.first else { return [] }
    var result: [Range<Int>] = []
    var position = range.lowerBound
    while position + needle.count <= range.upperBound {
      if bytes[position] == first, (1..<needle.count).allSatisfy({ bytes[position + $0] == needle[$0] }) {
        result.append(position..<(position + needle.count))
        position += needle.count
      } else {
        position += 1
      }
    }
    return result
  }
}
