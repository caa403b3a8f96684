package import SweepRecords

/// A sweep's id: the first hexadecimal digits of its digest, twelve unless that would be ambiguous.
package struct SweepID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let text: String
  package init(_ text: String) { self.text = text }
  package var description: String { text }
  package static func < (a: SweepID, b: SweepID) -> Bool { a.text < b.text }
}

/// A sweep as it is handed in: complete, so that nothing outside the store is needed to plan it again.
package struct SweepSubmission: Sendable {
  /// The digest of the resolved sweep: equal digests are one sweep.
  package var digest: Digest
  package var name: String
  /// The sweep file as the user wrote it.
  package var document: String
  /// The resolved sweep as JSON: patterns expanded, inputs digested. The leader plans from it.
  package var resolved: String
  package var priority: SweepPriority
  package var numericsVersion: Int
  /// Small input files by content; tasks refer to them as `InputReference.artifact`.
  package var inputs: [[UInt8]]
  package var models: [ModelRow]
  package var behaviours: [BehaviourRow]

  package init(
    digest: Digest, name: String, document: String, resolved: String, priority: SweepPriority = .normal,
    numericsVersion: Int = SweepRecords.numericsVersion, inputs: [[UInt8]] = [], models: [ModelRow] = [],
    behaviours: [BehaviourRow] = []
  ) {
    self.digest = digest
    self.name = name
    self.document = document
    self.resolved = resolved
    self.priority = priority
    self.numericsVersion = numericsVersion
    self.inputs = inputs
    self.models = models
    self.behaviours = behaviours
  }
}

/// A row of `model`: a model that a sweep runs.
package struct ModelRow: Sendable, Equatable {
  /// The digest over all its files.
  package var digest: Digest
  package var name: String
  package var locator: String
  package var architecture: String
  /// Number of weights; nil where unknown.
  package var parameters: Int?
  package var layers: Int?
  /// d_model.
  package var width: Int?
  package var vocabulary: Int?
  /// `as-stored`, `float32` or `bfloat16`.
  package var weights: String
  /// The prompt template's name or text.
  package var template: String

  package init(
    digest: Digest, name: String, locator: String, architecture: String, parameters: Int? = nil, layers: Int? = nil,
    width: Int? = nil, vocabulary: Int? = nil, weights: String = "as-stored", template: String = "raw"
  ) {
    self.digest = digest
    self.name = name
    self.locator = locator
    self.architecture = architecture
    self.parameters = parameters
    self.layers = layers
    self.width = width
    self.vocabulary = vocabulary
    self.weights = weights
    self.template = template
  }
}

/// A row of `behaviour`: what a sweep steers towards, and the data that say so.
package struct BehaviourRow: Sendable, Equatable {
  package var name: String
  /// The contrast set; nil where the vector was given.
  package var contrast: Digest?
  /// The vector file; nil where the vector is extracted.
  package var vector: Digest?
  /// The evaluation questions; nil where there are none.
  package var questions: Digest?
  /// How many contrast pairs are used.
  package var pairCount: Int?
  /// How many questions are used.
  package var questionCount: Int?
  package var read: ReadPosition?

  package init(
    name: String, contrast: Digest? = nil, vector: Digest? = nil, questions: Digest? = nil, pairCount: Int? = nil,
    questionCount: Int? = nil, read: ReadPosition? = nil
  ) {
    self.name = name
    self.contrast = contrast
    self.vector = vector
    self.questions = questions
    self.pairCount = pairCount
    self.questionCount = questionCount
    self.read = read
  }
}

/// What `submit` says.
package struct SubmittedSweep: Sendable, Equatable {
  package var id: SweepID
  /// False when the sweep was there already.
  package var isNew: Bool
  package var state: SweepState

  package init(id: SweepID, isNew: Bool, state: SweepState) {
    self.id = id
    self.isNew = isNew
    self.state = state
  }
}

/// A piece of a sweep's plan, committed as a whole.
package struct PlanChunk: Sendable {
  /// The sweep's cursor before this chunk (0 at first): a chunk that comes twice is seen by it.
  package var from: Int
  /// The cursor after it: any larger number that tells the planner where to go on.
  package var to: Int
  package var tasks: [TaskDefinition]
  /// Whether the plan ends here.
  package var isLast: Bool

  package init(from: Int, to: Int, tasks: [TaskDefinition], isLast: Bool) {
    self.from = from
    self.to = to
    self.tasks = tasks
    self.isLast = isLast
  }
}

/// What `expand` did.
package struct ExpansionReply: Sendable, Equatable {
  /// False when nothing was written because the sweep is not `planning`, or its cursor is elsewhere.
  package var applied: Bool
  /// The sweep's state and cursor after.
  package var state: SweepState
  package var cursor: Int
  /// How many tasks were new to the database.
  package var inserted: Int
  /// How many of the chunk's tasks were done already.
  package var alreadyDone: Int

  package init(applied: Bool, state: SweepState, cursor: Int, inserted: Int, alreadyDone: Int) {
    self.applied = applied
    self.state = state
    self.cursor = cursor
    self.inserted = inserted
    self.alreadyDone = alreadyDone
  }
}

/// A sweep in a list.
package struct SweepSummary: Sendable, Equatable {
  package var id: SweepID
  package var digest: Digest
  package var name: String
  package var state: SweepState
  package var priority: SweepPriority
  package var numericsVersion: Int
  /// Where planning goes on, and whether it is complete.
  package var cursor: Int
  package var isPlanned: Bool
  /// Seconds since 1970.
  package var submittedAt: Double
  /// When it last ended (`done`, `done_with_parked`, `cancelled`); nil while it has not.
  package var endedAt: Double?
  /// Why it can't go on, in words; nil when all is well.
  package var problem: String?
}

/// What was submitted, for planning, reports and exports.
package struct StoredSubmission: Sendable {
  package var summary: SweepSummary
  package var document: String
  package var resolved: String
  package var models: [ModelRow]
  package var behaviours: [BehaviourRow]
  /// The small inputs by digest and size.
  package var inputs: [ArtifactReference]
}

/// How far a sweep is.
package struct SweepProgress: Sendable, Equatable {
  /// One kind of task.
  package struct Stage: Sendable, Equatable {
    package var kind: TaskKind
    package var counts: [TaskState: Int]
    /// Estimated seconds on one core of what is neither done nor cancelled.
    package var estimateLeft: Double
    /// Seconds that its finished tasks took, by the clock, and how many those are: their ratio corrects the estimates.
    package var secondsSpent: Double
    package var finishedAttempts: Int
  }
  /// Kinds that the sweep has, in the order of `TaskKind`.
  package var stages: [Stage]
  /// Tasks that became `done` within the asked time.
  package var finishedRecently: Int

  /// Tasks by state over all stages; states without tasks are missing.
  package var counts: [TaskState: Int] {
    stages.reduce(into: [:]) { sums, stage in sums.merge(stage.counts, uniquingKeysWith: +) }
  }
}
