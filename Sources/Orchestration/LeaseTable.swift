package import Storage

/// What a worker holds, and what a heartbeat's reply says about it. No I/O.
package struct LeaseTable: Sendable {
  /// What was asked for with a heartbeat.
  package struct Question: Sendable {
    let held: Set<TaskLease>
    let claims: Int
  }

  /// What a heartbeat's reply means.
  package struct Answer: Sendable, Equatable {
    /// Someone else has them, or nobody: stop computing.
    package var lost: [TaskLease] = []
    /// No sweep wants them any more: stop computing.
    package var cancelled: [TaskLease] = []
    /// Leases under this worker's name that it knows nothing of (the reply to a claim was lost): give them back, or
    /// every
    /// heartbeat keeps them from the others.
    package var orphans: [TaskLease] = []
  }

  private var held: Set<TaskLease> = []
  /// Those about which the store is being told that they end: their absence from a reply says nothing.
  private var ending: Set<TaskLease> = []
  private var claimsUnderWay = 0
  /// Claims that have begun so far.
  private var claims = 0

  package init() {}

  package var isEmpty: Bool { held.isEmpty }

  /// Every lease that is held, by task.
  package var leases: [TaskLease] { held.sorted { $0.task < $1.task } }

  package func holds(_ lease: TaskLease) -> Bool { held.contains(lease) }

  /// A claim is on its way: until it is back, unknown leases may be its.
  package mutating func claimBegan() {
    claims += 1
    claimsUnderWay += 1
  }

  package mutating func claimEnded(_ leases: [TaskLease]) {
    claimsUnderWay -= 1
    held.formUnion(leases)
  }

  /// The store is about to be told that these end; `settled` follows.
  package mutating func endBegan(_ leases: [TaskLease]) { ending.formUnion(leases) }

  /// A task has ended, or was given back: its lease is nothing more to us.
  package mutating func settled(_ lease: TaskLease) {
    held.remove(lease)
    ending.remove(lease)
  }

  /// Before a heartbeat is sent: only what is held now can be found lost by its reply.
  package func ask() -> Question { Question(held: held, claims: claimsUnderWay > 0 ? -1 : claims) }

  /// After it: leases that were held when it was sent, still are, and are missing in the reply.
  package mutating func heard(_ reply: HeartbeatReply, to question: Question) -> Answer {
    let renewed = Set(reply.held)
    let dropped = Set(reply.cancelled)
    var answer = Answer()
    for lease in leases where question.held.contains(lease) && !renewed.contains(lease) && !ending.contains(lease) {
      if dropped.contains(lease) { answer.cancelled.append(lease) } else { answer.lost.append(lease) }
      held.remove(lease)
    }
    if question.claims == claims {
      answer.orphans = reply.held.filter { !question.held.contains($0) && !held.contains($0) }
    }
    return answer
  }
}
