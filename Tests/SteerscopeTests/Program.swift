import Foundation
import TensorFiles
import TestServers

/// The built program, called as a user calls it.
struct Program {
  /// What a call left.
  struct Output {
    var status: Int32
    var result: String
    var words: String

    /// The result as JSON.
    func json() throws -> [String: Any] {
      try JSONSerialization.jsonObject(with: Data(result.utf8)) as? [String: Any] ?? [:]
    }

    /// The one line of an error, without a trace or a second line.
    var error: String? {
      let lines = words.split(separator: "\n")
      return lines.count == 1 && lines[0].hasPrefix("error: ") ? String(lines[0].dropFirst(7)) : nil
    }
  }

  /// The working folder of all calls.
  let folder: String

  /// The program lies where the tests were built: beside the bundle, or beside the process that loaded it.
  static let path: String = {
    let files = FileManager.default
    let starts = [Bundle.main.bundlePath] + ProcessInfo.processInfo.arguments + Bundle.allBundles.map(\.bundlePath)
    for start in starts {
      var place = URL(fileURLWithPath: start).resolvingSymlinksInPath()
      while place.path != "/" {
        let candidate = place.appendingPathComponent("steerscope").path
        var isDirectory: ObjCBool = false
        if files.fileExists(atPath: candidate, isDirectory: &isDirectory), !isDirectory.boolValue,
          files.isExecutableFile(atPath: candidate)
        {
          return candidate
        }
        place.deleteLastPathComponent()
      }
    }
    return "steerscope"
  }()

  /// Golden files.
  static let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Golden").path
  static let model = golden + "/llama-tied"

  /// Runs `body` with a new folder, removed afterwards.
  static func inFolder<Result>(_ body: (Program) async throws -> Result) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("steerscope-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(Program(folder: folder))
  }

  /// Starts the program; its output goes to files `NAME.out` and `NAME.err`, which no full pipe can block.
  func start(_ arguments: [String], environment: [String: String] = [:], name: String) throws -> RunningProgram {
    var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("STEERSCOPE_") }
    variables["XDG_CACHE_HOME"] = folder + "/cache"
    // The crash of a program that should not crash is reported by its status; a trace takes seconds.
    variables["SWIFT_BACKTRACE"] = "enable=no"
    for end in ["out", "err"] { _ = FileManager.default.createFile(atPath: path("\(name).\(end)"), contents: nil) }
    return RunningProgram(
      try ChildProcess(
        Self.path, arguments, environment: variables.merging(environment) { $1 }, folder: folder,
        output: path("\(name).out"), error: path("\(name).err")))
  }

  /// Runs the program to its end.
  func callAsFunction(_ arguments: String..., environment: [String: String] = [:]) throws -> Output {
    let name = "call-\(UUID().uuidString)"
    let process = try start(arguments, environment: environment, name: name)
    process.waitUntilExit()
    // A signal is told apart from a status of the same number.
    let status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    let output = Output(status: status, result: try text("\(name).out"), words: try text("\(name).err"))
    for end in ["out", "err"] { try FileManager.default.removeItem(atPath: path("\(name).\(end)")) }
    return output
  }

  /// Waits until a text is in a file, at most so many seconds; says whether it came.
  func waits(for words: String, in name: String, seconds: Double = 30) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end {
      if try text(name).contains(words) { return true }
      try await Task.sleep(for: .milliseconds(30))
    }
    return false
  }

  func path(_ name: String) -> String { folder + "/" + name }
  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }
  func text(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }
  func write(_ text: String, to name: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path(name))) }

  /// Copies the first `bytes` of a file.
  func cut(_ source: String, to name: String, bytes: Int) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: source)).prefix(bytes)
    let target = URL(fileURLWithPath: path(name))
    try FileManager.default.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: target)
  }

  /// Names in the folder.
  var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() } }

  /// Pairs for the tiny model, whose answers are several tokens long.
  static let pairs: String = {
    var items: [String] = []
    for first in ["one", "two", "the"] {
      for second in ["cat", "dog", "sun"] {
        items.append("{\"prompt\": \"\(first) \(second) \", \"positive\": \"good a\", \"negative\": \"bad a\"}")
      }
    }
    return "[" + items.joined(separator: ",\n") + "]"
  }()
}

/// The program while it runs. (Foundation's `Process` would not notice its end while another, started meanwhile, runs.)
final class RunningProgram: Sendable {
  private let child: ChildProcess

  init(_ child: ChildProcess) { self.child = child }

  var processIdentifier: Int32 { child.identifier }
  var isRunning: Bool { child.status == nil }
  var terminationReason: Process.TerminationReason { child.status ?? 0 < 0 ? .uncaughtSignal : .exit }
  var terminationStatus: Int32 { abs(child.status ?? 0) }

  func waitUntilExit() {
    while child.status == nil { usleep(2000) }
  }
}

/// Tensors of a safetensors file.
struct Tensors {
  private let file: SafetensorsFile

  init(_ path: String) throws { file = try SafetensorsFile(path: path) }

  var names: Set<String> { Set(file.tensorNames) }
  var metadata: [String: String] { file.metadata }
  func shape(_ name: String) throws -> [Int] { try file.tensor(named: name).shape }
  func floats(_ name: String) throws -> [Float] { try file.tensor(named: name).floats() }
  func integers(_ name: String) throws -> [Int] { try file.tensor(named: name).integers() }
}
