internal import Foundation

/// Asks a server on this machine how it is: what a container's health check runs.
package enum HTTPProbe {
  /// What came back: the status and the text, control characters made visible.
  package struct Reply: Sendable, Equatable {
    package let status: Int
    package let text: String
  }

  /// - Returns: nil when there is no server, or none that speaks HTTP in time.
  package static func get(_ path: String, at address: ListenAddress, within limit: Duration) -> Reply? {
    do {
      let deadline = ContinuousClock.now + limit
      let connection = try Connection.open(to: address, deadline: deadline)
      let request = "GET \(path) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\n\r\n"
      try connection.send(Array(request.utf8), until: deadline)
      var reply: [UInt8] = []
      while reply.count < 1 << 20 {
        let bytes = try connection.receive(atMost: 4096, until: deadline)
        if bytes.isEmpty { break }
        reply += bytes
      }
      return parse(reply)
    } catch {
      return nil
    }
  }

  static func parse(_ bytes: [UInt8]) -> Reply? {
    let text = String(decoding: bytes, as: UTF8.self)
    let words = text.prefix { !$0.isNewline }.split(separator: " ", maxSplits: 2)
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let status = Int(words[1]),
      let end = text.range(of: "\r\n\r\n")
    else { return nil }
    let visible = text[end.upperBound...].unicodeScalars.map { scalar in
      scalar.properties.generalCategory == .control && scalar != "\n" ? "\u{FFFD}" : scalar
    }
    return Reply(status: status, text: String(String.UnicodeScalarView(visible)))
  }
}
