/// What kind of work a task is; the unit that is leased, retried and counted (architecture.md, "Tasks").
package enum TaskKind: String, Codable, Sendable, CaseIterable {
  /// A slice of text: sampled, or run through the model for a layer's activations.
  case harvest
  /// Reduces the harvest's slices: mean activation and norms of a layer.
  case statistics
  /// A slice of a behaviour's contrast pairs: a layer's activations of both answers.
  case extract
  /// Reduces a behaviour's slices to a layer's steering vectors, or makes their controls.
  case vectors
  /// A slice of the training steps of one SAE.
  case trainSAE = "train-sae"
  /// One SAE, vectors of its layer and methods: every sparsity.
  case decompose
  /// One layer and behaviour, a slice of questions and variants: every coefficient.
  case evaluate
  /// One layer, a slice of neutral text and variants: every coefficient.
  case sideEffects = "side-effects"
  /// Reduces evaluation slices to curves, slopes and intervals.
  case score
}

/// The state of a task (protocol.md). `done`, `parked` and `cancelled` are ends.
package enum TaskState: String, Codable, Sendable, CaseIterable {
  case blocked, ready, queued, running, done, parked, cancelled
}

/// The state of a sweep (protocol.md).
package enum SweepState: String, Codable, Sendable, CaseIterable {
  case planning, active, paused, done
  case doneWithParked = "done_with_parked"
  case cancelled
}

/// How urgently a sweep's tasks are dispatched: a queue each.
package enum SweepPriority: String, Codable, Sendable, CaseIterable { case high, normal, low }

/// A file that a task reads where it lies: its digest is what it is, its locator where to look for it.
package struct FileReference: Codable, Hashable, Sendable {
  /// What the file must hold.
  package var digest: Digest
  /// A path (absolute, or relative to `STEERSCOPE_FILES`), resolved by whoever opens it.
  package var locator: String

  package init(digest: Digest, locator: String) {
    self.digest = digest
    self.locator = locator
  }
}

/// A task as the plan makes it: what it is (its key and work), whom it waits for, and where its files lie.
package struct TaskDefinition: Sendable {
  /// The digest of the kind, all inputs, the parameters and the numerics version: `TaskWork.key`.
  package var key: Digest
  package var kind: TaskKind
  /// The canonical JSON of the `TaskWork`: what the worker computes.
  package var work: String
  /// Keys of the tasks whose outputs this one reads; it is `blocked` until all are done.
  package var dependencies: [Digest]
  /// Where the files that `work` names by digest were found when the sweep was submitted.
  package var files: [FileReference]
  /// The layer that the task is about, for people and messages; nil when it is about several.
  package var layer: Int?
  /// In words, for `status` and logs: `evaluate power-seeking, layer 14, questions 0-19`.
  package var title: String
  /// Estimated seconds on one core.
  package var estimate: Double

  package init(
    key: Digest, kind: TaskKind, work: String, dependencies: [Digest], files: [FileReference], layer: Int?,
    title: String,
    estimate: Double
  ) {
    self.key = key
    self.kind = kind
    self.work = work
    self.dependencies = dependencies
    self.files = files
    self.layer = layer
    self.title = title
    self.estimate = estimate
  }
}

/// A small input or a made thing, kept by content in the store: bytes under a name of the task that made it.
package struct Artifact: Sendable {
  /// The name under which dependents ask for it: `activations`, `vectors`, `reconstructions`.
  package var name: String
  package var bytes: [UInt8]

  package init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }
}

/// All that a finished task leaves: artifacts for its dependents and rows for people, stored in one transaction.
package struct TaskResult: Sendable {
  package var artifacts: [Artifact]
  package var rows: [TableRow]
  /// What it took; no part of the result.
  package var effort: TaskEffort

  package init(artifacts: [Artifact] = [], rows: [TableRow] = [], effort: TaskEffort = TaskEffort()) {
    self.artifacts = artifacts
    self.rows = rows
    self.effort = effort
  }
}

/// How much a task went through, for rates.
package struct TaskEffort: Sendable, Equatable {
  /// Tokens that went through a model, or through part of it.
  package var tokens: Int
  /// Features that were computed: an SAE's width for each vector that it encoded.
  package var features: Int

  package init(tokens: Int = 0, features: Int = 0) {
    self.tokens = tokens
    self.features = features
  }
}

/// A result row: its table and its cells by column name. The store adds the task that made it.
package struct TableRow: Sendable, Equatable {
  package var table: ResultTable
  package var cells: [String: Cell]

  package init(_ table: ResultTable, _ cells: [String: Cell]) {
    self.table = table
    self.cells = cells
  }
}

/// The tables that tasks fill (interface.md, "The database").
package enum ResultTable: String, Sendable, CaseIterable {
  case sae
  case activationStatistics = "activation_statistics"
  case steeringVector = "steering_vector"
  case decomposition
  case decompositionFeature = "decomposition_feature"
  case evaluation
  case steerabilityScore = "steerability_score"
  case evaluationQuestion = "evaluation_question"
}

/// One value of a row. A number that is not finite is stored as null.
package enum Cell: Sendable, Equatable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral
{
  case null
  case integer(Int)
  case real(Double)
  case text(String)

  package init(stringLiteral value: String) { self = .text(value) }
  package init(integerLiteral value: Int) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .real(value) }

  /// A number, or null where there is none or it is not finite.
  package init(_ value: Double?) { self = value.flatMap { $0.isFinite ? .real($0) : nil } ?? .null }
  /// A number, or null where there is none or it is not finite.
  package init(_ value: Float?) { self.init(value.map(Double.init)) }
  /// A whole number, or null.
  package init(_ value: Int?) { self = value.map { .integer($0) } ?? .null }
  /// A text, or null.
  package init(_ value: String?) { self = value.map { .text($0) } ?? .null }
  /// 1 or 0.
  package init(_ value: Bool) { self = .integer(value ? 1 : 0) }
}
