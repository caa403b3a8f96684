package import Diagnostics
internal import Foundation
internal import SweepRecords

/// Why a message can't be served by this program: it goes to the dead letters, is counted, and the worker goes on.
package struct DeadLetter: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Reason: String, Sendable, CaseIterable, Codable {
    /// Longer, or nested deeper, than any message of ours.
    case oversized
    /// Not JSON, or not the keys and values of a task message.
    case unreadable
    /// Written by a newer program.
    case newerSchema = "newer-schema"
  }
  package var reason: Reason
  package var error: InputError

  package init(_ reason: Reason, _ error: InputError) {
    self.reason = reason
    self.error = error
  }

  package var description: String { error.description }
}

extension TaskMessage {
  /// The longest body that is written or read, in bytes.
  package static let sizeLimit = 64 * 1024
  /// The deepest nesting that is read: an object with objects and lists of plain values needs 2.
  static let depthLimit = 4

  /// The body as UTF-8 JSON, keys sorted. Lists that would make it oversized are left out: they only describe.
  package func body() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let bytes = [UInt8](try encoder.encode(Body(self)))
    guard bytes.count > Self.sizeLimit else { return bytes }
    var short = self
    short.methods = []
    short.coefficients = []
    return [UInt8](try encoder.encode(Body(short)))
  }

  /// Reads a body that anyone may have written. Keys that are not known are ignored.
  package init(parsing body: [UInt8]) throws(DeadLetter) {
    guard body.count <= Self.sizeLimit else {
      throw Self.dead(.oversized, "at most \(Self.sizeLimit) bytes", "\(body.count)")
    }
    guard Self.depth(of: body) <= Self.depthLimit else {
      throw Self.dead(.oversized, "at most \(Self.depthLimit) levels of nesting", "more")
    }
    let decoder = JSONDecoder()
    let data = Data(body)
    let version: Version
    do { version = try decoder.decode(Version.self, from: data) } catch {
      throw Self.dead(.unreadable, "a JSON object with a whole number \"schema\"", Self.reason(error))
    }
    guard version.schema == Self.schema else {
      if version.schema > Self.schema {
        throw Self.dead(
          .newerSchema, "schema \(Self.schema)", "\(version.schema)", "update this worker: a newer program wrote it")
      }
      throw Self.dead(.unreadable, "schema \(Self.schema)", "\(version.schema)")
    }
    do { self = try decoder.decode(Body.self, from: data).message } catch {
      throw Self.dead(.unreadable, "a task message (schemas/messages/task.schema.json)", Self.reason(error))
    }
    guard task > 0, dispatch > 0, !sweep.isEmpty, sweep.utf8.count <= 128 else {
      throw Self.dead(.unreadable, "a task and a dispatch from 1, and a sweep", "task \(task), dispatch \(dispatch)")
    }
  }

  private static func dead(
    _ reason: DeadLetter.Reason, _ expected: String, _ found: String, _ remedy: String = ""
  ) -> DeadLetter {
    DeadLetter(reason, InputError("task message", expected: expected, found: found, remedy: remedy))
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "no \"\(key.stringValue)\""
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      "another type at \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\""
    case DecodingError.dataCorrupted(let context):
      context.codingPath.isEmpty
        ? "something else" : "a wrong value at \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\""
    default: "something else"
    }
  }

  /// How deep brackets nest outside strings, whatever else is wrong. O(n).
  private static func depth(of body: [UInt8]) -> Int {
    var depth = 0
    var deepest = 0
    var inString = false
    var escaped = false
    for byte in body {
      if escaped {
        escaped = false
        continue
      }
      switch byte {
      case UInt8(ascii: "\\"): escaped = inString
      case UInt8(ascii: "\""): inString.toggle()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        if !inString {
          depth += 1
          deepest = max(deepest, depth)
        }
      case UInt8(ascii: "}"), UInt8(ascii: "]"): if !inString { depth -= 1 }
      default: break
      }
    }
    return deepest
  }

  private struct Version: Decodable { var schema: Int }

  /// The body as it is spelled.
  private struct Body: Codable {
    var schema: Int
    var sweep: String
    var task: Int64
    var dispatch: Int
    var kind: TaskKind
    var layer: Int?
    var sae: SAE?
    var methods: [String]?
    var coefficients: [Double]?

    init(_ message: TaskMessage) {
      schema = TaskMessage.schema
      sweep = message.sweep
      task = message.task
      dispatch = message.dispatch
      kind = message.kind
      layer = message.layer
      sae = message.sae
      methods = message.methods
      coefficients = message.coefficients
    }

    var message: TaskMessage {
      TaskMessage(
        sweep: sweep, task: task, dispatch: dispatch, kind: kind, layer: layer, sae: sae, methods: methods ?? [],
        coefficients: coefficients ?? [])
    }
  }
}
