internal import Foundation

/// Prints one JSON object: keys in snake_case and sorted, what is undefined as null.
enum JSONOutput {
  static func print(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    Terminal.result(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n")
  }
}

/// A number that is null in JSON where it is not finite.
struct Finite: Encodable {
  var value: Double

  init(_ value: Double) { self.value = value }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if value.isFinite { try container.encode(value) } else { try container.encodeNil() }
  }
}
