import Storage
import SweepRecords

/// Something done to a store. Numbers choose among what is there when it is done, so that a sequence stays meaningful
/// when parts of it are taken out.
enum StoreOperation: CustomStringConvertible {
  case submit(sweep: Int)
  case expand(sweep: Int, chunk: Int)
  case lead(holder: Int)
  case dispatch(leader: Int, window: Int)
  case undispatch(leader: Int, dispatch: Int)
  case register(worker: Int)
  case deregister(worker: Int)
  case claim(tasks: Int, worker: Int)
  case heartbeat(worker: Int)
  case finish(lease: Int)
  case finishTwo(lease: Int, other: Int)
  case fail(lease: Int, fault: TaskFailure.Fault, jitter: Double)
  case release(lease: Int)
  case reap(leader: Int, everyLease: Bool)
  case settle(leader: Int)
  case recompute(leader: Int)
  case pause(sweep: Int)
  case resume(sweep: Int)
  case cancel(sweep: Int)
  case retry(sweep: Int)
  case delete(sweep: Int)
  case advance(seconds: Double)
  case reopen

  /// One drawn at random: what moves tasks along comes often, what ends things seldom.
  static func random(_ generator: inout SeededGenerator) -> StoreOperation {
    let sweep = Int.random(in: 0..<PlannedSweep.all.count, using: &generator)
    let worker = Int.random(in: 0..<3, using: &generator)
    let leader = Int.random(in: 0..<8, using: &generator) == 0 ? 1 : 0
    let lease = Int.random(in: 0..<10, using: &generator)
    switch Int.random(in: 0..<100, using: &generator) {
    case 0..<8: return .submit(sweep: sweep)
    case 8..<22: return .expand(sweep: sweep, chunk: Int.random(in: 0..<4, using: &generator))
    case 22..<25: return .lead(holder: leader)
    case 25..<36: return .dispatch(leader: leader, window: Int.random(in: 1..<8, using: &generator))
    case 36..<38: return .undispatch(leader: leader, dispatch: lease)
    case 38..<41: return .register(worker: worker)
    case 41: return .deregister(worker: worker)
    case 42..<57: return .claim(tasks: Int.random(in: 1..<(1 << 12), using: &generator), worker: worker)
    case 57..<61: return .heartbeat(worker: worker)
    case 61..<71: return .finish(lease: lease)
    case 71..<74: return .finishTwo(lease: lease, other: Int.random(in: 0..<10, using: &generator))
    case 74..<78:
      return .fail(
        lease: lease, fault: Bool.random(using: &generator) ? .task : .transient,
        jitter: Double(Int.random(in: 0..<4, using: &generator)) / 4)
    case 78..<80: return .release(lease: lease)
    case 80..<83: return .reap(leader: leader, everyLease: Int.random(in: 0..<4, using: &generator) == 0)
    case 83..<87: return .settle(leader: leader)
    case 87: return .recompute(leader: leader)
    case 88..<90: return .pause(sweep: sweep)
    case 90..<92: return .resume(sweep: sweep)
    case 92: return .cancel(sweep: sweep)
    case 93..<95: return .retry(sweep: sweep)
    case 95: return .delete(sweep: sweep)
    case 96..<99: return .advance(seconds: [1, 20, 50, 200][lease % 4])
    default: return .reopen
    }
  }

  var description: String {
    switch self {
    case .submit(let sweep): "submit \(sweep)"
    case .expand(let sweep, let chunk): "expand \(sweep) chunk \(chunk)"
    case .lead(let holder): "lead \(holder)"
    case .dispatch(let leader, let window): "dispatch as \(leader) window \(window)"
    case .undispatch(let leader, let dispatch): "undispatch as \(leader) no. \(dispatch)"
    case .register(let worker): "register \(worker)"
    case .deregister(let worker): "deregister \(worker)"
    case .claim(let tasks, let worker): "claim \(String(tasks, radix: 2)) by \(worker)"
    case .heartbeat(let worker): "heartbeat \(worker)"
    case .finish(let lease): "finish lease \(lease)"
    case .finishTwo(let lease, let other): "finish leases \(lease), \(other)"
    case .fail(let lease, let fault, let jitter): "fail lease \(lease) \(fault) \(jitter)"
    case .release(let lease): "release lease \(lease)"
    case .reap(let leader, let every): "reap as \(leader)\(every ? " every lease" : "")"
    case .settle(let leader): "settle as \(leader)"
    case .recompute(let leader): "recompute as \(leader)"
    case .pause(let sweep): "pause \(sweep)"
    case .resume(let sweep): "resume \(sweep)"
    case .cancel(let sweep): "cancel \(sweep)"
    case .retry(let sweep): "retry \(sweep)"
    case .delete(let sweep): "delete \(sweep)"
    case .advance(let seconds): "advance \(seconds)"
    case .reopen: "reopen"
    }
  }
}

/// The sweeps of the model-based test: they overlap, wait across chunks, and one is of another numerics version.
struct PlannedSweep {
  var name: String
  var priority: SweepPriority
  var numericsVersion = 1
  var chunks: [[TaskDefinition]]

  var submission: SweepSubmission {
    SweepSubmission(
      digest: .named("sweep \(name)"), name: name, document: name, resolved: "{}", priority: priority,
      numericsVersion: numericsVersion)
  }

  func chunk(_ index: Int) -> PlanChunk {
    let index = index % chunks.count
    return PlanChunk(from: index, to: index + 1, tasks: chunks[index], isLast: index == chunks.count - 1)
  }

  private static let a = TaskDefinition("a", kind: .extract)
  private static let b = TaskDefinition("b", kind: .extract)
  private static let c = TaskDefinition("c", after: ["a", "b"], kind: .vectors)
  private static let d = TaskDefinition("d", after: ["c"], kind: .decompose)
  private static let e = TaskDefinition("e", after: ["c"])
  private static let f = TaskDefinition("f", after: ["d", "e", "a"], kind: .score)
  private static let g = TaskDefinition("g", kind: .harvest)
  private static let h = TaskDefinition("h", after: ["g", "c"])
  private static let i = TaskDefinition("i")
  private static let x = TaskDefinition("x")
  private static let y = TaskDefinition("y", after: ["x"])

  static let all = [
    PlannedSweep(name: "S0", priority: .normal, chunks: [[a, b, c], [d, e, f]]),
    PlannedSweep(name: "S1", priority: .high, chunks: [[h, g, a, b, c], [i]]),
    PlannedSweep(name: "S2", priority: .normal, chunks: [[i, g], [a]]),
    PlannedSweep(name: "S3", priority: .low, numericsVersion: 2, chunks: [[x, y]]),
  ]
  static let tasks = [a, b, c, d, e, f, g, h, i, x, y]
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
