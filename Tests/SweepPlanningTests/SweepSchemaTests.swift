import Foundation
import SweepPlanning
import Testing

/// The schema for editors says what the reader does.
@Suite struct SweepSchemaTests {
  let schema: [String: Any]

  init() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let data = try Data(contentsOf: root.appendingPathComponent("schemas/sweep.schema.json"))
    schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  private func section(_ name: String) throws -> [String: Any] {
    if name.isEmpty { return schema }
    let definitions = try #require(schema["$defs"] as? [String: Any])
    return try #require(definitions[name] as? [String: Any], "\(name)")
  }

  @Test func theKeysAreThoseOfTheReader() throws {
    #expect(schema["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
    for (name, keys) in SweepKeys.sections {
      let section = try section(name)
      let properties = try #require(section["properties"] as? [String: Any])
      #expect(Set(properties.keys) == Set(keys), "\(name)")
      #expect(section["additionalProperties"] as? Bool == false, "\(name)")
    }
  }

  @Test func everyKeyIsDescribed() throws {
    for (name, keys) in SweepKeys.sections {
      let properties = try #require(try section(name)["properties"] as? [String: Any])
      for key in keys {
        var property = try #require(properties[key] as? [String: Any])
        if property["description"] == nil, let reference = property["$ref"] as? String {
          property = try section(String(reference.dropFirst("#/$defs/".count)))
        }
        #expect(property["description"] is String, "\(name).\(key)")
      }
    }
  }

  @Test func theWordsAreThoseOfTheReader() throws {
    for (place, words) in SweepKeys.words {
      let parts = place.split(separator: ".").map(String.init)
      let properties = try #require(try section(parts.count == 2 ? parts[0] : "")["properties"] as? [String: Any])
      let property = try #require(properties[parts[parts.count - 1]] as? [String: Any])
      #expect(try Set(enumerated(property)) == Set(words), "\(place)")
    }
  }

  /// The words of a property's `enum`, wherever below it.
  private func enumerated(_ property: [String: Any]) throws -> [String] {
    if let words = property["enum"] as? [String] { return words }
    if let reference = property["$ref"] as? String {
      return try enumerated(try section(String(reference.dropFirst(8))))
    }
    for choice in property["oneOf"] as? [[String: Any]] ?? [] {
      let words = try enumerated(choice)
      if !words.isEmpty { return words }
    }
    return []
  }
}
