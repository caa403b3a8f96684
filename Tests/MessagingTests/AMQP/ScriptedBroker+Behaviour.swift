import Synchronization

/// What a scripted peer saw, for a test to look at.
final class Seen: Sendable {
  private let frames = Mutex<[PeerFrame]>([])
  func add(_ frame: PeerFrame) { frames.withLock { $0.append(frame) } }
  var all: [PeerFrame] { frames.withLock { $0 } }
  func all(_ method: PeerMethod) -> [PeerFrame] { all.filter { $0.method == method } }
  func count(_ method: PeerMethod) -> Int { all(method).count }
}

extension ScriptedBroker {
  /// A peer that behaves, except where a test has something special: true means that it dealt with a frame.
  static func behaving(
    heartbeat: UInt16 = 0, _ seen: Seen = Seen(),
    _ special: @escaping @Sendable (PeerConnection, PeerFrame) throws -> Bool
  ) throws -> ScriptedBroker {
    try ScriptedBroker { peer in
      try peer.greet(heartbeat: heartbeat)
      try peer.serve { frame in
        seen.add(frame)
        return try special(peer, frame)
      }
    }
  }

  /// A peer that delivers bytes once the third queue is consumed.
  static func delivering(_ bytes: [UInt8], _ seen: Seen) throws -> ScriptedBroker {
    try behaving(seen) { peer, frame in
      guard frame.method == .consume, seen.count(.consume) == 3 else { return false }
      try peer.answer(.consume, frame)
      try peer.send(bytes)
      return true
    }
  }
}
