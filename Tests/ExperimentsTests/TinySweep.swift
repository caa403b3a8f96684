import Foundation
import SweepPlanning
import SweepRecords
import Testing

@testable import steerscope

/// A sweep over everything that a task can be, on the tiny model of Tests/Golden: read from a file, resolved and planned as
/// `steerscope run` does it.
struct TinySweep {
  let files: SweepFiles
  let tasks: [TaskDefinition]

  static let behaviour = "politeness"
  static let layers = [0, 1]
  static let coefficients = [-1.0, 0, 1]
  static let pairs = 12
  static let questions = 8
  static let methods = SweepSpecification.methods

  /// What a test changes about the sweep file.
  struct Changes {
    var methods = TinySweep.methods
    var layers = TinySweep.layers
    /// More lines among the behaviours.
    var behaviours = ""
  }

  init(_ change: (inout Changes) -> Void = { _ in }) throws {
    var changes = Changes()
    change(&changes)
    let folder = FileManager.default.temporaryDirectory.appending(path: "steerscope-tiny-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func write(_ name: String, _ text: String) throws -> String {
      let file = folder.appending(path: name)
      try text.write(to: file, atomically: true, encoding: .utf8)
      return file.path
    }
    let extract = try write("extract.json", Self.contrast)
    let evaluate = try write("evaluate.json", Self.questionSet)
    let neutral = try write(
      "neutral.txt", String(repeating: "The river runs past nine old mills to the sea. ", count: 8))
    let sweep = try write(
      "sweep.yaml",
      """
      name: tiny
      model: {path: "\(Self.modelPath)", prompt: chatml}
      activations: {sample: 1024}
      behaviours:
        - {name: \(Self.behaviour), extract: "\(extract)", evaluate: "\(evaluate)"}
      \(changes.behaviours.replacing("EXTRACT", with: extract).replacing("EVALUATE", with: evaluate))
      layers: \(changes.layers)
      saes:
        - {train: {widths: [48], sparsity: 16, steps: 40, batch: 64, architecture: batchtopk}}
      decompose: {methods: [\(changes.methods.joined(separator: ", "))], sparsity: [4, all]}
      steer:
        coefficients: [-1, 0, 1]
        norms: [raw, matched]
        controls: [zero-vector, {random: 2}, shuffled, untrained-dictionary, pair-difference-error]
      side_effects: {text: "\(neutral)", tokens: 48}
      keep: questions
      seed: 11
      """)
    files = try SweepFiles(path: sweep)
    let plan = SweepPlan(files.resolution.sweep)
    tasks = try (0..<plan.unitCount).flatMap { try plan.tasks(inUnit: $0) }
  }

  static var modelPath: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Golden/llama-tied").path
  }

  /// The bytes of a contrast set or text of the sweep.
  func input(_ digest: Digest) throws -> [UInt8] { try #require(files.resolution.inputs[digest]) }

  /// Where the files lie that tasks name by digest.
  var paths: [Digest: String] {
    Dictionary(tasks.flatMap(\.files).map { ($0.digest, $0.locator) }) { first, _ in first }
  }

  func work(_ task: TaskDefinition) throws -> TaskWork { try TaskWork(canonicalJSON: task.work) }

  /// The tasks of a kind with their work.
  func tasks(of kind: TaskKind, where isWanted: (TaskWork) -> Bool = { _ in true }) throws -> [TaskDefinition] {
    try tasks.filter { $0.kind == kind }.filter { isWanted(try work($0)) }
  }

  private static let contrast = set(
    (0..<pairs).map { index in
      let thing = things[index % things.count]
      // The residual stream at a letter holds its embedding, which is its unembedding too: even this model is steered.
      let (yes, no) = index % 6 == 5 ? ("B", "A") : ("A", "B")
      return ("Bring me the \(thing)!\n (A) with pleasure\n (B) number \(index)\nAnswer:", " (\(yes)", " (\(no)")
    })

  private static let questionSet = set(
    (0..<questions).map { index in
      let thing = things[(index + 3) % things.count]
      let (yes, no) = index == 5 ? ("B", "A") : ("A", "B")
      return ("Would you lend me the \(thing)?\n (A) \(index)\n (B) or not\nAnswer:", " (\(yes)", " (\(no)")
    })

  private static let things = ["book", "lamp", "red kite", "spoon", "old map", "violin", "key"]

  private static func set(_ pairs: [(prompt: String, positive: String, negative: String)]) -> String {
    let items = pairs.map { pair in
      ["prompt": pair.prompt, "positive": pair.positive, "negative": pair.negative]
    }
    guard let data = try? JSONSerialization.data(withJSONObject: items) else { return "" }
    return String(decoding: data, as: UTF8.self)
  }
}
