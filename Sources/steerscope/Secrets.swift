internal import Foundation
internal import Synchronization

/// Passwords that this process knows: whatever it prints, they are not in it.
enum Secrets {
  private static let known = Mutex<[String]>([])

  /// From now on the password of a connection URI, spelled as there or decoded, is blotted out.
  static func learn(from uri: String) {
    var found: [String] = []
    if let start = uri.range(of: "://")?.upperBound {
      let authority = uri[start...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
      if let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") {
        found.append(String(authority[authority.index(after: colon)..<at]))
      }
    }
    for parameter in uri.drop(while: { $0 != "?" }).dropFirst().split(separator: "&") {
      let parts = parameter.split(separator: "=", maxSplits: 1)
      if parts.count == 2, ["password", "sslpassword"].contains(parts[0]) { found.append(String(parts[1])) }
    }
    let spellings = found.flatMap { [$0, $0.removingPercentEncoding ?? $0] }.filter { !$0.isEmpty }
    known.withLock { known in
      // The longest first: one may be part of another.
      known = Set(known + spellings).sorted { ($0.count, $0) > ($1.count, $1) }
    }
  }

  /// The text without them.
  static func blotted(_ text: String) -> String {
    known.withLock { $0 }.reduce(text) { text, secret in
      // One of a letter or two would tear words apart; it is hidden where a URI has it.
      secret.count < 4
        ? text.replacingOccurrences(of: ":\(secret)@", with: ":***@")
        : text.replacingOccurrences(of: secret, with: "***")
    }
  }
}
