internal import Foundation
package import SweepRecords

/// What a sweep would run, read and leave behind: what the command `plan` shows.
package struct PlanEstimate: Sendable, Equatable {
  /// One kind of task.
  package struct Stage: Sendable, Equatable {
    package var kind: TaskKind
    /// Tasks that are yet to run, and those that an earlier sweep has done.
    package var new = 0
    package var done = 0
    /// Of the new ones, on one nominal core.
    package var seconds = 0.0

    package init(kind: TaskKind) { self.kind = kind }
  }

  /// Kinds that occur, in the order of the pipeline.
  package private(set) var stages: [Stage] = []
  /// Rows that the new tasks will store, by table.
  package private(set) var rows: [ResultTable: Int] = [:]
  /// Bytes of artifacts that the new tasks will store.
  package private(set) var bytesStored = 0
  /// Bytes of the files that the new tasks read, each file once.
  package private(set) var bytesRead = 0
  /// Floating-point operations of the new tasks.
  package private(set) var operations = 0.0

  /// Seconds of all new tasks on one nominal core.
  package var seconds: Double { stages.reduce(0) { $0 + $1.seconds } }

  /// Goes once through the plan; memory does not grow with it beyond `done`.
  ///
  /// - Parameters:
  ///   - isDone: whether a task of this key is done already, asked once a task.
  ///   - size: the bytes of a file or directory.
  package init(
    _ plan: SweepPlan, isDone: (Digest) throws -> Bool, size: (FileReference) -> Int
  ) throws {
    var byKind: [TaskKind: Stage] = [:]
    var files: Set<FileReference> = []
    for unit in 0..<plan.unitCount {
      for task in try plan.tasks(inUnit: unit) {
        var stage = byKind[task.kind] ?? Stage(kind: task.kind)
        if try isDone(task.key) {
          stage.done += 1
        } else {
          stage.new += 1
          stage.seconds += task.estimate
          files.formUnion(task.files)
          let yield = plan.yield(of: try TaskWork(canonicalJSON: task.work))
          rows.merge(yield.rows, uniquingKeysWith: +)
          bytesStored += yield.bytes
        }
        byKind[task.kind] = stage
      }
    }
    stages = TaskKind.allCases.compactMap { byKind[$0] }
    bytesRead = files.reduce(0) { $0 + size($1) }
    operations = seconds * TaskCost.rate
  }
}

/// What one task leaves.
private struct TaskYield {
  var rows: [ResultTable: Int] = [:]
  /// Artifacts, without the hundreds of bytes of their headers.
  var bytes = 0
}

extension SweepPlan {
  /// The most features of a decomposition that get a row.
  private static let featureRows = 20

  fileprivate func yield(of work: TaskWork) -> TaskYield {
    let vector = 4 * sweep.model.dimension
    switch work {
    case .harvest(let work): return TaskYield(bytes: harvestBytes(work))
    case .statistics(let work):
      return TaskYield(
        rows: [.activationStatistics: work.layers.count], bytes: work.layers.count * (vector + 4 * tokens))
    case .extract(let work): return TaskYield(bytes: 2 * (work.to - work.from) * work.layers.count * vector)
    case .vectors(let work):
      let made = work.controls.map { $0.random + ($0.shuffled ? 1 : 0) } ?? (work.given == nil ? 2 : 1)
      return TaskYield(rows: [.steeringVector: made * work.layers.count], bytes: made * work.layers.count * vector)
    case .trainSAE(let work):
      let parameters = work.plan.width * (2 * vector + 4) + vector
      let finished = work.to == work.plan.steps
      // A checkpoint carries the two moments of Adam as well.
      return TaskYield(rows: finished ? [.sae: 1] : [:], bytes: finished ? parameters : 3 * parameters)
    case .decompose(let work): return decompositionYield(work)
    case .evaluate(let work):
      let values = work.variants.count * (work.to - work.from) * work.settings.coefficients.count
      return TaskYield(rows: work.keepQuestions ? [.evaluationQuestion: values] : [:], bytes: 8 * values)
    case .sideEffects(let work):
      return TaskYield(bytes: 8 * work.variants.count * (work.settings.coefficients.count + 1))
    case .score(let work):
      let variants = work.variants.count
      return TaskYield(rows: [.evaluation: variants * work.settings.coefficients.count, .steerabilityScore: variants])
    }
  }

  private var tokens: Int {
    switch sweep.activations {
    case .text(_, let tokens, _), .sample(let tokens, _): tokens
    }
  }

  private func harvestBytes(_ work: HarvestWork) -> Int {
    let vector = 4 * sweep.model.dimension
    switch work.source {
    case .text(_, let from, let to, _): return (to - from) * work.layers.count * vector
    case .sample(_, let from, let to, let length, _): return (to - from) * length * 8
    case .sampled: return tokens / max(text.slices.count, 1) * work.layers.count * vector
    }
  }

  private func decompositionYield(_ work: DecomposeWork) -> TaskYield {
    guard !work.vectors.isEmpty else {
      if case .trained = work.sae.source, work.sae.untrainedSeed == nil {
        return TaskYield(bytes: 4 * sweep.model.dimension)
      }
      return TaskYield(rows: [.sae: 1], bytes: 4 * sweep.model.dimension)
    }
    let ladder = Set(work.coefficients + [1]).count
    var yield = TaskYield()
    for method in work.methods {
      let sparsities = DecompositionNaming.sparsities(of: method, in: work.sparsities)
      let codes = sparsities.count * DecompositionNaming.conventions(of: method).count * work.vectors.count
      let features = sparsities.map {
        if case .atoms(let count) = $0 { min(count, Self.featureRows) } else { Self.featureRows }
      }
      yield.rows[.decomposition, default: 0] += codes * (DecompositionNaming.isPursuit(method) ? 1 : ladder)
      yield.rows[.decompositionFeature, default: 0] +=
        features.reduce(0, +) * DecompositionNaming.conventions(of: method).count * work.vectors.count
      yield.bytes += codes * 4 * sweep.model.dimension
    }
    return yield
  }
}
