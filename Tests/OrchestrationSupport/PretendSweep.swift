internal import Foundation
internal import Orchestration
package import Storage
package import SweepRecords
internal import Synchronization

/// A made-up sweep: harvest slices and their statistics, extraction slices and their vectors, a chain of training
/// steps, and
/// scores that wait for both reductions. Real records, pretended work.
package struct PretendSweep: Codable, Sendable {
  package var name: String
  package var harvests: Int
  package var extracts: Int
  package var trainings: Int
  package var scores: Int
  package var isBroken: Bool

  package static let contrast = Array("contrast pairs".utf8)
  package static let questions = Array("questions".utf8)
  package static let model = Array("model weights".utf8)

  package init(
    name: String = "pretend", harvests: Int = 8, extracts: Int = 5, trainings: Int = 4, scores: Int = 10,
    isBroken: Bool = false
  ) {
    self.name = name
    self.harvests = harvests
    self.extracts = extracts
    self.trainings = trainings
    self.scores = scores
    self.isBroken = isBroken
  }

  package var count: Int { harvests + 1 + extracts + 1 + trainings + scores }

  package func submission(priority: SweepPriority = .normal) throws -> SweepSubmission {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let resolved = String(decoding: try encoder.encode(self), as: UTF8.self)
    return SweepSubmission(
      digest: Digest(of: resolved), name: name, document: "name: \(name)", resolved: resolved, priority: priority,
      inputs: [Self.contrast, Self.questions])
  }

  /// All tasks, in an order in which dependencies come first.
  package func tasks() throws -> [TaskDefinition] {
    var tasks: [TaskDefinition] = []
    let model = ModelReference(digest: Digest(of: Self.model), weights: "as-stored", template: "raw")
    let file = FileReference(digest: model.digest, locator: "model.gguf")
    func add(
      _ work: TaskWork, after dependencies: [Digest] = [], files: [FileReference] = [], _ title: String
    ) throws -> Digest {
      let json = try work.canonicalJSON()
      let key = TaskWork.key(ofCanonicalJSON: json)
      tasks.append(
        TaskDefinition(
          key: key, kind: work.kind, work: json, dependencies: dependencies, files: files, layer: nil, title: title,
          estimate: 1))
      return key
    }
    let slices = try (0..<harvests).map { index in
      try add(
        .harvest(
          HarvestWork(
            model: model, layers: [1, 2],
            source: .sample(seed: 7, from: index, to: index + 1, length: 8, temperature: 1))), files: [file],
        "harvest \(index)")
    }
    let activations = slices.map { InputReference.output(task: $0, name: "activations") }
    let statistics = try add(
      .statistics(StatisticsWork(layers: [1, 2], slices: activations)), after: slices, "statistics")
    let pairs = try (0..<extracts).map { index in
      try add(
        .extract(
          ExtractWork(
            model: model, layers: [1, 2], contrast: .artifact(Digest(of: Self.contrast)), from: index, to: index + 1,
            read: .answerMean)), files: [file], "extract \(index)")
    }
    let vectors = try add(
      .vectors(
        VectorsWork(
          behaviour: name, layers: [1, 2], slices: pairs.map { .output(task: $0, name: "activations") }, given: nil)),
      after: pairs, "vectors")
    let plan = TrainingPlan(
      architecture: .topK, width: 8, sparsity: 2, steps: 10 * trainings, batch: 4, learningRate: 0.01, seed: 7)
    var last: Digest?
    for index in 0..<trainings {
      last = try add(
        .trainSAE(
          TrainSAEWork(
            layer: 1, plan: plan, slices: activations, from: 10 * index, to: 10 * index + 10,
            checkpoint: last.map { .output(task: $0, name: "made") })), after: slices + (last.map { [$0] } ?? []),
        "train \(index)")
    }
    for index in 0..<scores {
      let slice = ScoreWork.Slice(
        source: .output(task: index % 2 == 0 ? statistics : vectors, name: "made"), from: 0, to: 1,
        firstVariant: 0, variantCount: 0)
      _ = try add(
        .score(
          ScoreWork(
            behaviour: name, layer: index, questions: .artifact(Digest(of: Self.questions)), variants: [],
            slices: [slice],
            sideEffects: [],
            settings: SteeringSettings(
              coefficients: [-1, 1], unit: .vector, positions: .scored, score: .perToken))),
        after: [statistics, vectors], "score \(index)")
    }
    return tasks
  }
}

/// Plans pretended sweeps, `limit` tasks a chunk.
package struct PretendExpander: SweepExpander {
  package init() {}

  package struct Broken: Error {}

  package func chunk(of resolved: String, from cursor: Int, limit: Int) throws -> (tasks: [TaskDefinition], next: Int?)
  {
    let sweep = try JSONDecoder().decode(PretendSweep.self, from: Data(resolved.utf8))
    if sweep.isBroken, cursor > 0 { throw Broken() }
    let tasks = try sweep.tasks()
    let end = min(cursor + limit, tasks.count)
    return (Array(tasks[cursor..<end]), end < tasks.count ? end : nil)
  }
}

/// Makes results that depend on the work and every byte of input, and on nothing else; does what a test wants
/// meanwhile.
package final class PretendExecutor: TaskExecutor {
  package typealias Meanwhile =
    @Sendable (_ work: TaskWork, _ inputs: TaskInputs, any TaskMonitor) throws(TaskFault) -> Void
  private let meanwhile: Meanwhile
  private let counts = Mutex<[Digest: Int]>([:])

  package init(_ meanwhile: @escaping Meanwhile = { _, _, _ throws(TaskFault) in }) { self.meanwhile = meanwhile }

  /// How often tasks were computed, by key.
  package var executions: [Digest: Int] { counts.withLock { $0 } }
  package var executionCount: Int { executions.values.reduce(0, +) }

  package func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult {
    guard let json = try? work.canonicalJSON() else { throw TaskFault(.task, "can't be written") }
    let key = TaskWork.key(ofCanonicalJSON: json)
    counts.withLock { $0[key, default: 0] += 1 }
    monitor.advanced(to: 0.5)
    try meanwhile(work, inputs, monitor)
    var text = json
    for reference in work.inputs {
      switch reference {
      case .file(let digest):
        guard inputs.paths[digest] != nil else { throw TaskFault(.task, "no path for \(digest)") }
      case .artifact, .output:
        guard let bytes = inputs.artifacts[reference] else { throw TaskFault(.task, "no bytes for \(reference)") }
        text += "\n\(Digest(of: bytes))"
      }
    }
    let digest = Digest(of: text)
    let value = Double(UInt32(digest.hex.prefix(8), radix: 16) ?? 0) / Double(UInt32.max)
    let name =
      switch work {
      case .harvest, .extract: "activations"
      default: "made"
      }
    return TaskResult(artifacts: [Artifact(name: name, bytes: Array(digest.hex.utf8))], rows: Self.rows(work, value))
  }

  private static func rows(_ work: TaskWork, _ value: Double) -> [TableRow] {
    switch work {
    case .statistics(let work):
      work.layers.map { TableRow(.activationStatistics, ["layer": .integer($0), "mean_norm": .real(value)]) }
    case .vectors(let work):
      work.layers.map {
        TableRow(
          .steeringVector,
          ["behaviour": .text(work.behaviour), "layer": .integer($0), "name": "original", "norm": .real(value)])
      }
    case .score(let work):
      [
        TableRow(
          .steerabilityScore,
          [
            "behaviour": .text(work.behaviour), "layer": .integer(work.layer), "variant": "original", "norm": "raw",
            "unit": "vector", "positions": "scored", "score": "per-token", "n": 1, "slope": .real(value),
          ])
      ]
    default: []
    }
  }
}

/// Files that are always there, unless a test says otherwise.
package struct PretendFiles: FileResolver {
  package typealias Find = @Sendable (FileReference) throws(TaskFault) -> String
  package var find: Find

  package init(_ find: @escaping Find = { file throws(TaskFault) in "/pretend/\(file.locator)" }) { self.find = find }

  package func path(of file: FileReference) async throws(TaskFault) -> String { try find(file) }
}
