/// A worker's id: a UUID per start of a process.
package struct WorkerID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let text: String
  package init(_ text: String) { self.text = text }
  package var description: String { text }
  package static func < (a: WorkerID, b: WorkerID) -> Bool { a.text < b.text }
}

/// Who a worker is.
package struct WorkerRegistration: Sendable, Equatable {
  package var id: WorkerID
  package var host: String
  package var process: Int
  /// The program's version.
  package var version: String
  package var numericsVersion: Int
  /// `x86-64-v3`, `arm64`.
  package var cpu: String
  package var threads: Int

  package init(
    id: WorkerID, host: String, process: Int, version: String, numericsVersion: Int, cpu: String, threads: Int
  ) {
    self.id = id
    self.host = host
    self.process = process
    self.version = version
    self.numericsVersion = numericsVersion
    self.cpu = cpu
    self.threads = threads
  }
}

/// How a worker is, by its own account.
package enum WorkerCondition: Sendable, Equatable {
  case ready
  /// It claims nothing, or not everything, and says why.
  case unready(reason: String)
  /// It finishes what it has.
  case draining

  /// A condition as the databases spell it; one that has signed off is `stopped` there, and drains here.
  init(stored word: String, reason: String) {
    switch word {
    case "unready": self = .unready(reason: reason)
    case "draining", "stopped": self = .draining
    default: self = .ready
    }
  }

  /// How the databases spell it, and why when unready.
  var stored: (word: String, reason: String?) {
    switch self {
    case .ready: ("ready", nil)
    case .unready(let reason): ("unready", reason)
    case .draining: ("draining", nil)
    }
  }
}

/// How much memory a worker uses, in bytes.
package struct MemoryUse: Sendable, Equatable, CustomStringConvertible {
  /// Its own, without the pages of mapped files.
  package var used: Int
  /// What it may use before the system ends it.
  package var limit: Int

  package init(used: Int, limit: Int) {
    self.used = used
    self.limit = limit
  }

  /// What a database has of it; nil where that is not all.
  init?(storedUse used: Int?, limit: Int?) {
    guard let used, let limit else { return nil }
    self.init(used: used, limit: limit)
  }

  package var description: String { "\(Self.words(used)) of \(Self.words(limit)) of memory" }

  private static func words(_ bytes: Int) -> String {
    let gibibytes = Double(bytes) / 0x1p30
    return gibibytes >= 1 ? "\((gibibytes * 10).rounded() / 10) GiB" : "\(bytes >> 20) MiB"
  }
}

/// A worker that was not heard of any more, as far as is known.
struct SilentWorker {
  var id: WorkerID
  /// Nil where the database has no such worker.
  var host: String?
  /// Seconds since its last heartbeat.
  var silence: Double?
  /// At its last heartbeat.
  var memory: MemoryUse?

  /// Why its lease is taken away. A worker that the system ended for its memory can't say so: its last words are what
  /// is left.
  var obituary: String {
    guard let silence else { return "its worker \(id) was not heard of any more" }
    let place = host.map { " on \($0)" } ?? ""
    let use = memory.map { ", using \($0)" } ?? ""
    return "its worker \(id)\(place) was last heard of \(Int(max(0, min(silence, 1e12)).rounded())) s ago\(use)"
  }
}

/// What a heartbeat brings back.
package struct HeartbeatReply: Sendable, Equatable {
  /// The leases that are still the worker's, now renewed. Any other it had is lost: stop computing.
  package var held: [TaskLease]
  /// Those that were cancelled just now: lost as well, and why.
  package var cancelled: [TaskLease]
  /// Sweeps of the held leases that are paused: finish, but expect no more of them.
  package var paused: [SweepID]
}

/// A worker as the database sees it.
package struct WorkerStatus: Sendable, Equatable {
  package var registration: WorkerRegistration
  package var condition: WorkerCondition
  package var startedAt: Double
  /// The last heartbeat, seconds since 1970.
  package var seenAt: Double
  /// What it used then; nil where it can't be told.
  package var memory: MemoryUse?
  /// When it signed off; nil while it has not.
  package var stoppedAt: Double?
  /// Tasks in its hands, by title.
  package var running: [String]
  /// Tasks that it has finished.
  package var finished: Int
}
