internal import ArgumentParser
internal import Foundation
internal import Orchestration
internal import Reporting
internal import Storage

/// How log lines look.
enum LogFormat: String, ExpressibleByArgument, CaseIterable {
  /// Words for people.
  case text
  /// One JSON object a line, for programs.
  case json
}

/// The log of a long-running process: a line an event, on standard error. Secrets of the environment never get there.
struct ServiceLog: Sendable {
  let format: LogFormat
  /// The least level that is written.
  let level: LogEntry.Level

  func callAsFunction(_ entry: LogEntry) {
    guard entry.level >= level else { return }
    let time = Date().formatted(
      .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    Terminal.say(
      format == .json
        ? entry.json(time: time).render(pretty: false).trimmingCharacters(in: .newlines) : entry.line(time: time))
  }

  var sink: LogSink { { self($0) } }

  /// A sink whose lines all say which process they are of: `worker` or `coordinator`, and its id.
  func about(_ role: String, _ id: String) -> LogSink {
    { entry in
      var entry = entry
      if role == "worker" { entry.worker = entry.worker ?? WorkerID(id) } else { entry.details[role] = id }
      self(entry)
    }
  }
}

extension LogEntry {
  /// What the entry is about, by name, in a fixed order.
  private var fields: [(String, String)] {
    var fields: [(String, String)] = []
    if let sweep { fields.append(("sweep", "\(sweep)")) }
    if let task { fields.append(("task", "\(task)")) }
    if let attempt { fields.append(("attempt", "\(attempt.number)")) }
    if let worker { fields.append(("worker", "\(worker)")) }
    let taken = Set(fields.map(\.0) + ["time", "level", "message"])
    return fields + details.filter { !taken.contains($0.key) }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// The entry as one line: time, level, message, what it is about.
  func line(time: String) -> String {
    "\(time) \(level.rawValue) \(message)" + fields.map { " \($0.0)=\(Self.quoted($0.1))" }.joined()
  }

  /// Words of plain characters as they are, others quoted, so that an entry stays one line.
  private static func quoted(_ text: String) -> String {
    let isPlain =
      !text.isEmpty && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7F && $0 != "\"" && $0 != "=" }
    return isPlain ? text : text.debugDescription
  }

  /// The entry as a JSON object; task and attempt are numbers.
  func json(time: String) -> JSONText {
    let numbers: [String: JSONText] = [
      "task": task.map { .integer(Int($0.number)) } ?? .null,
      "attempt": attempt.map { .integer(Int($0.number)) } ?? .null,
    ]
    return .object(
      [("time", .text(time)), ("level", .text(level.rawValue)), ("message", .text(message))]
        + fields.map { name, value in
          if case .integer(let number)? = numbers[name] { return (name, .integer(number)) }
          return (name, .text(value))
        })
  }
}
