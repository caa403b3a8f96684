/// Runs one task: the seam between the sweep machinery, which decides where and when, and the experiments, which
/// decide what.
package protocol TaskExecutor: Sendable {
  /// Computes the task's result on the calling thread, for seconds to minutes. A pure function of `work` and `inputs`.
  ///
  /// - Parameter monitor: told how far the work is; asked between pieces of work whether to go on.
  /// - Throws: `TaskFault`, which says whose fault it was.
  func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult
}

/// Everything that a task reads, fetched and verified before it starts.
package struct TaskInputs: Sendable {
  /// The bytes of every `.artifact` and `.output` that the work names.
  package var artifacts: [InputReference: [UInt8]]
  /// Where each `.file` lies on this machine, its digest verified.
  package var paths: [Digest: String]

  package init(artifacts: [InputReference: [UInt8]] = [:], paths: [Digest: String] = [:]) {
    self.artifacts = artifacts
    self.paths = paths
  }
}

/// What a running task reports to, and learns from, whoever runs it. Called from the task's thread.
package protocol TaskMonitor: Sendable {
  /// Something is done: `fraction` of the task, 0...1.
  func advanced(to fraction: Double)
  /// True when nobody waits for the result any more (lease lost, sweep cancelled, worker stopping).
  var shouldStop: Bool { get }
}

/// Why a task did not end with a result, and whose fault that is (protocol.md, point 9).
package struct TaskFault: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Blame: String, Sendable, Codable {
    /// The task can't be done by anyone: bad parameter, result not finite. Parked at once.
    case task
    /// It may work later: a lost connection, a time-out. Tried again with back-off.
    case transient
    /// Another worker could: a file missing or of another digest, too little memory, a full disk. Released uncounted.
    case worker
    /// It was told to stop. Released uncounted.
    case stopped
  }
  package var blame: Blame
  /// One line for people.
  package var message: String
  /// The file or input that a `worker` fault is about.
  package var input: Digest?

  package init(_ blame: Blame, _ message: String, input: Digest? = nil) {
    self.blame = blame
    self.message = message
    self.input = input
  }

  package var description: String { message }
}

extension TaskWork {
  /// Every input that the work names, without repetition, in the order of first mention.
  package var inputs: [InputReference] {
    var references: [InputReference] = []
    switch self {
    case .harvest(let work):
      references.append(.file(work.model.digest))
      switch work.source {
      case .text(let text, _, _, _): references.append(text)
      case .sampled(let tokens): references.append(tokens)
      case .sample: break
      }
    case .statistics(let work): references += work.slices
    case .extract(let work): references += [.file(work.model.digest), work.contrast]
    case .vectors(let work): references += work.slices + (work.given.map { [$0] } ?? [])
    case .trainSAE(let work): references += work.slices + (work.checkpoint.map { [$0] } ?? [])
    case .decompose(let work):
      switch work.sae.source {
      case .file(let digest): references.append(.file(digest))
      case .trained(let output): references.append(output)
      }
      references += [.file(work.model.digest), work.statistics] + (work.sample.map { [$0] } ?? [])
      references += work.vectors.flatMap { [$0.source] + $0.pairs }
    case .evaluate(let work):
      references += [.file(work.model.digest), work.questions, work.original.source]
      references += work.variants.map(\.source) + (work.statistics.map { [$0] } ?? [])
    case .sideEffects(let work):
      references += [.file(work.model.digest), work.text, work.original.source]
      references += work.variants.map(\.source) + (work.statistics.map { [$0] } ?? [])
    case .score(let work): references += [work.questions] + (work.slices + work.sideEffects).map(\.source)
    }
    var seen: Set<InputReference> = []
    return references.filter { seen.insert($0).inserted }
  }
}
