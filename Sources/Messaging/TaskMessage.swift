package import SweepRecords

/// The body of a task's message: which task to claim, and what it covers, for people who look at the queue.
///
/// Only `task` matters to a worker: what it computes is the task's row (interface.md, "Messages").
package struct TaskMessage: Sendable, Equatable {
  /// The SAEs that a task goes through, where it is one.
  package struct SAE: Sendable, Equatable, Codable {
    package var name: String?
    package var width: Int?
    package var l0: Int?

    package init(name: String?, width: Int?, l0: Int?) {
      self.name = name
      self.width = width
      self.l0 = l0
    }
  }

  /// The newest version of the body that this program writes and reads.
  package static let schema = 1

  /// The sweep on whose behalf the task was dispatched.
  package var sweep: String
  /// The task's id in the database.
  package var task: Int64
  /// Which dispatch of the task this is, from 1.
  package var dispatch: Int
  package var kind: TaskKind
  /// Nil where the task is about several layers, or none.
  package var layer: Int?
  package var sae: SAE?
  package var methods: [String]
  package var coefficients: [Double]

  package init(
    sweep: String, task: Int64, dispatch: Int, kind: TaskKind, layer: Int? = nil, sae: SAE? = nil,
    methods: [String] = [], coefficients: [Double] = []
  ) {
    self.sweep = sweep
    self.task = task
    self.dispatch = dispatch
    self.kind = kind
    self.layer = layer
    self.sae = sae
    self.methods = methods
    self.coefficients = coefficients
  }

  /// The message of a dispatched task; what it covers is read off its work.
  package init(sweep: String, task: Int64, dispatch: Int, kind: TaskKind, layer: Int?, work: TaskWork) {
    self.init(sweep: sweep, task: task, dispatch: dispatch, kind: kind, layer: layer)
    switch work {
    case .harvest, .statistics, .extract, .vectors: break
    case .trainSAE(let work): sae = SAE(name: nil, width: work.plan.width, l0: work.plan.sparsity)
    case .decompose(let work):
      sae = SAE(name: work.sae.name, width: work.sae.width, l0: Self.l0(inName: work.sae.name))
      methods = work.methods
      coefficients = work.coefficients
    case .evaluate(let work): describe(work.variants, work.settings)
    case .sideEffects(let work): describe(work.variants, work.settings)
    case .score(let work): describe(work.variants, work.settings)
    }
  }

  /// The message id `task:dispatch`, under which a broker's tools show it.
  package var id: String { "\(task):\(dispatch)" }

  private mutating func describe(_ variants: [SteeringVariant], _ settings: SteeringSettings) {
    let names = Set(variants.compactMap(\.sae))
    if names.count == 1, let name = names.first { sae = SAE(name: name, width: nil, l0: Self.l0(inName: name)) }
    var seen: Set<String> = []
    methods = variants.compactMap(\.method).filter { seen.insert($0).inserted }
    coefficients = settings.coefficients
  }

  /// The `83` of a name like `16k/l0-83`.
  private static func l0(inName name: String) -> Int? {
    name.split(separator: "/").lazy.compactMap { $0.hasPrefix("l0-") ? Int($0.dropFirst(3)) : nil }.first
  }
}
