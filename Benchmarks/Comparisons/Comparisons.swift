internal import Diagnostics
internal import Foundation
internal import Kernels
internal import TensorFiles

/// Our side of one comparison: `comparisons NAME FOLDER THREADS`.
///
/// Reads the inputs that the driver left in FOLDER, computes the result once and leaves it in `FOLDER/NAME.ours.safetensors`,
/// says `ready`, and then for every line on standard input runs the named piece of work and answers with its seconds, wall
/// clock and CPU. The peers under `peers/` speak the same way, so that the driver can let both sides take turns.
@main
enum Comparisons {
  static func main() {
    // As `steerscope` does.
    keepFreedMemory()
    do {
      try run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      FileHandle.standardError.write(Data("comparisons: \(error)\n".utf8))
      exit(1)
    }
  }

  private static func run(_ arguments: [String]) throws {
    guard arguments.count == 3, let threads = Int(arguments[2]), (1...1024).contains(threads) else {
      throw InputError("usage", expected: "comparisons NAME FOLDER THREADS", found: "\(arguments)")
    }
    let inputs = Inputs(folder: arguments[1], pool: ThreadPool(threads: threads))
    guard let make = table[arguments[0]] else {
      let names = table.keys.sorted().joined(separator: ", ")
      throw InputError("name", expected: "one of \(names)", found: arguments[0])
    }
    var comparison = try make(inputs)
    try comparison.result().write(to: "\(inputs.folder)/\(arguments[0]).ours.safetensors")
    say("ready")
    while let line = readLine() {
      let (wall, cpu) = (ContinuousClock.now, clock())
      try comparison.run(line)
      let seconds = wall.duration(to: .now) / .seconds(1)
      say("\(seconds) \(Double(clock() - cpu) / Double(CLOCKS_PER_SEC))")
    }
  }

  private static func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

  private static let table: [String: @Sendable (Inputs) throws -> any Comparison] = [
    "gemm": { try ProductComparison($0) },
    "encode": { try EncodeComparison($0) },
    "ladder": { try LadderComparison($0) },
    "pursuit": { try PursuitComparison($0) },
    "training": { try TrainingComparison($0) },
    "prompt": { try PromptComparison($0) },
    "letters": { try EvaluationComparison($0, "letters") },
    "completions": { try EvaluationComparison($0, "completions") },
  ]
}

/// One piece of work, to be run again and again.
protocol Comparison {
  /// What both sides must agree on.
  mutating func result() throws -> SafetensorsWriter
  /// - Parameter part: which of its cases is run.
  mutating func run(_ part: String) throws
}

/// What the driver left for both sides.
struct Inputs {
  let folder: String
  let pool: ThreadPool

  func file(_ name: String) throws -> SafetensorsFile { try SafetensorsFile(path: "\(folder)/\(name).safetensors") }

  func matrix(_ name: String, in file: SafetensorsFile) throws -> Matrix {
    let tensor = try file.tensor(named: name)
    try tensor.require(shape: [nil, nil])
    return Matrix(rows: tensor.shape[0], columns: tensor.shape[1], elements: try tensor.floats())
  }

  /// A number in a file's metadata.
  func number(_ key: String, in file: SafetensorsFile) throws -> Int {
    guard let number = file.metadata[key].flatMap({ Int($0) }) else {
      throw InputError("\(file.name): \(key)", expected: "a number", found: file.metadata[key] ?? "nothing")
    }
    return number
  }
}
