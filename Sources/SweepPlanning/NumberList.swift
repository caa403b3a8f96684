package import Diagnostics

/// Numbers as users write them: `-2,-1,0,1`, `-2:2:0.5` (both ends included), or mixtures.
package enum NumberList {
  /// The most values that one list may have.
  static let limit = 10_000

  /// Reads a list of numbers. A range's values are `first + i * step`, so that they are the same however they are used.
  ///
  /// - Throws: `InputError` on subject `subject` for anything that is not a list of finite numbers.
  package static func parse(_ text: String, subject: String) throws(InputError) -> [Double] {
    var values: [Double] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      values += try expand(part, text, subject)
      guard values.count <= limit else {
        throw InputError(subject, expected: "at most \(limit) numbers", found: "more in \"\(text.prefix(80))\"")
      }
    }
    return values
  }

  private static func expand(
    _ part: Substring, _ text: String, _ subject: String
  ) throws(InputError) -> [Double] {
    let pieces = part.split(separator: ":", omittingEmptySubsequences: false).map { trimmed($0) }
    var numbers: [Double] = []
    for piece in pieces {
      guard let number = Double(piece), Float(number).isFinite, !piece.isEmpty else {
        throw InputError(
          subject, expected: "numbers as in -2,-1,0,1 or -2:2:0.5", found: "\"\(piece)\" in \"\(text.prefix(80))\"")
      }
      numbers.append(number)
    }
    switch numbers.count {
    case 1: return numbers
    case 3 where numbers[2] != 0 && (numbers[1] - numbers[0]) / numbers[2] >= 0:
      let steps = ((numbers[1] - numbers[0]) / numbers[2] + 1e-9).rounded(.down)
      guard steps < Double(limit) else {
        throw InputError(subject, expected: "at most \(limit) numbers", found: "\(part)", remedy: "take a larger step")
      }
      return (0...Int(steps)).map { numbers[0] + Double($0) * numbers[2] }
    default:
      throw InputError(
        subject, expected: "first:last:step, with a step that leads from first to last", found: "\"\(part)\"")
    }
  }

  /// Reads a list of layers: `12,15,18`, `0-25`, mixtures, or `all` of `count` layers; sorted, each once.
  package static func layers(_ text: String, count: Int, subject: String) throws(InputError) -> [Int] {
    if trimmed(text[...]) == "all" { return Array(0..<count) }
    var layers: Set<Int> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int(trimmed($0)) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last, first >= 0
      else {
        throw InputError(
          subject, expected: "layers as in 12, \"12,15\", 0-25 or all", found: "\"\(text.prefix(80))\"")
      }
      guard last < count else {
        throw InputError(
          subject, expected: "layers from 0 to \(count - 1), which is what the model has", found: "\(last)")
      }
      layers.formUnion(first...last)
    }
    return layers.sorted()
  }

  private static func trimmed(_ text: Substring) -> String {
    String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
