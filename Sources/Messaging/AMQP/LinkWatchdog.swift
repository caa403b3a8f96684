/// Keeps time on a connection: when to send a heartbeat, when the peer counts as dead, and until when it must answer.
///
/// The library's own heartbeats are off: in 0.11 a send on a dead connection could wait without end
/// (alanxz/rabbitmq-c#780).
struct LinkWatchdog: Sendable, Equatable {
  /// The negotiated interval; nil for none.
  private(set) var heartbeat: Duration?
  private var lastHeard: Duration
  private var lastSent: Duration
  /// What the peer owes us, by name, and until when.
  private var owed: [String: Duration] = [:]

  init(now: Duration) {
    lastHeard = now
    lastSent = now
  }

  mutating func negotiated(heartbeat seconds: UInt16, now: Duration) {
    heartbeat = seconds == 0 ? nil : .seconds(Int(seconds))
    lastHeard = now
    lastSent = now
  }

  /// Bytes came, of any frame.
  mutating func heard(at now: Duration) { lastHeard = now }
  mutating func sent(at now: Duration) { lastSent = now }

  /// Expects an answer to something by a time; nil: it has come.
  mutating func expect(_ what: String, by deadline: Duration?) { owed[what] = deadline }

  /// A heartbeat is sent after half an interval of silence of ours, so that the peer hears from us in every interval.
  func owesHeartbeat(at now: Duration) -> Bool {
    heartbeat.map { now - lastSent >= $0 / 2 } ?? false
  }

  /// Why the peer counts as dead, if it does: two intervals of silence, or an answer that is overdue.
  func verdict(at now: Duration) -> LinkFault? {
    if let late = owed.filter({ $0.value <= now }).keys.min() {
      return LinkFault("the broker did not answer in time (\(late))")
    }
    if let heartbeat, now - lastHeard >= heartbeat * 2 {
      return LinkFault("no heartbeat from the broker for \(heartbeat * 2)")
    }
    return nil
  }

  /// When to look again.
  var deadline: Duration? {
    var times = Array(owed.values)
    if let heartbeat { times += [lastSent + heartbeat / 2, lastHeard + heartbeat * 2] }
    return times.min()
  }
}
