import Foundation

/// What a chaos run does to a cluster.
enum FaultKind: String, CaseIterable {
  case workerKilled = "worker: SIGKILL, started anew"
  case workerStopped = "worker: SIGSTOP past its lease, SIGCONT"
  case workerTerminated = "worker: SIGTERM, started anew"
  case coordinatorKilled = "coordinator: SIGKILL, started anew"
  case secondCoordinator = "a second coordinator, for a while"
  case brokerKilled = "broker: SIGKILL, started anew"
  case queuesPurged = "all queues purged"
  case queueDeleted = "a queue deleted"
  case connectionsClosed = "connections closed by the broker"
  case messagesDuplicated = "every message duplicated"
  case garbagePublished = "garbage messages"
  case futurePublished = "messages of a future version"
  case databaseRestarted = "PostgreSQL restarted"
  case databaseKilled = "PostgreSQL: SIGKILL, started anew"
  case commitsCut = "pg_terminate_backend during COMMIT"
  case sessionsCut = "pg_terminate_backend at any moment"
  case proxyFrozen = "proxy: silence past the lease, then on"
  case proxyStranded = "proxy: half-open TCP"
  case proxyCut = "proxy: connections reset"
  case hostCut = "a host cut off, then joined again"
}

/// One fault of a schedule.
struct Fault {
  /// Seconds after the start.
  var at: Double
  var kind: FaultKind
  /// Chooses the worker, queue or coordinator: any number, taken modulo how many there are.
  var target: Int
  /// From 0..<1: how long it lasts, within what the kind allows.
  var length: Double
}

/// Which faults come when: nothing but a function of its arguments.
struct FaultSchedule {
  let faults: [Fault]

  /// Rounds of all kinds, each in a random order, spread evenly but for jitter over `seconds`: as many rounds as fit
  /// with a fault about every two seconds, at least one.
  init(seed: UInt64, seconds: Double, kinds: [FaultKind]) {
    var random = SplitMix(seed: seed)
    let rounds = max(1, Int((seconds / (2 * Double(kinds.count))).rounded()))
    let spacing = seconds * 0.9 / Double(rounds * kinds.count)
    var faults: [Fault] = []
    for _ in 0..<rounds {
      var round = kinds
      for index in round.indices.dropLast() { round.swapAt(index, index + random.below(round.count - index)) }
      for kind in round {
        faults.append(
          Fault(
            at: (Double(faults.count) + random.uniform()) * spacing, kind: kind, target: random.below(1 << 20),
            length: random.uniform()))
      }
    }
    self.faults = faults
  }
}

/// What was done in the end.
struct FaultTally {
  private var counts: [FaultKind: (times: Int, hits: Int)] = [:]
  private(set) var skipped: [FaultKind: String] = [:]

  /// - Parameter hits: how many processes, connections or messages it met.
  mutating func count(_ kind: FaultKind, hits: Int) {
    counts[kind, default: (0, 0)].times += 1
    counts[kind, default: (0, 0)].hits += hits
  }

  mutating func skip(_ kind: FaultKind, because reason: String) { skipped[kind] = reason }

  func times(_ kind: FaultKind) -> Int { counts[kind]?.times ?? 0 }

  /// The table, a line a kind.
  var table: String {
    let width = FaultKind.allCases.map(\.rawValue.count).max() ?? 0
    let lines = FaultKind.allCases.map { kind -> String in
      let name = kind.rawValue.padding(toLength: width, withPad: " ", startingAt: 0)
      if let reason = skipped[kind] { return "\(name)  skipped: \(reason)" }
      let (times, hits) = counts[kind] ?? (0, 0)
      return "\(name)  \(String(repeating: " ", count: max(0, 5 - "\(times)".count)))\(times)  "
        + "\(String(repeating: " ", count: max(0, 6 - "\(hits)".count)))\(hits)"
    }
    let head = "fault".padding(toLength: width, withPad: " ", startingAt: 0) + "  times    hits"
    return ([head, String(repeating: "-", count: width + 15)] + lines).joined(separator: "\n")
  }
}
