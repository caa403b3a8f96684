package import Diagnostics

extension AMQPSettings {
  /// Reads `amqp://user:password@host:port/vhost?option=value`, or `amqps://` for TLS.
  ///
  /// User, password, virtual host and values are percent-encoded; without them guest, guest and `/` hold. Options:
  /// `heartbeat` (seconds), `connection_timeout` (milliseconds), and with TLS `cacertfile`, `certfile`, `keyfile`,
  /// `verify=verify_peer`.
  ///
  /// - Throws: `InputError`, which never shows the password.
  package init(parsing uri: String, subject: String = "broker URI") throws(InputError) {
    try self.init(URIParts(uri, subject))
  }

  private init(_ parts: URIParts) throws(InputError) {
    let hasTLS = parts.scheme == "amqps"
    let (user, password) = try parts.credentials()
    let (host, port) = try parts.address(defaultPort: hasTLS ? 5671 : 5672)
    self.init(
      host: host, port: port, user: user, password: password, virtualHost: try parts.virtualHost(),
      tls: hasTLS ? TLS() : nil)
    if hasTLS, parts.isLiteralAddress(host) {
      throw parts.wrong(
        "a host name in an amqps:// URI", "the address \(host)",
        "name the host as its certificate does: addresses can't be verified")
    }
    var chain: String?
    var key: String?
    for (name, value) in try parts.options() {
      switch (name, hasTLS) {
      case ("heartbeat", _): heartbeat = try parts.number(name, value, 0...3600)
      case ("connection_timeout", _):
        connectLimit = Double(try parts.number(name, value, 100...60_000) as Int) / 1000
      case ("cacertfile", true): tls?.authorities = try parts.path(name, value)
      case ("certfile", true): chain = try parts.path(name, value)
      case ("keyfile", true): key = try parts.path(name, value)
      case ("verify", true):
        guard value == "verify_peer" else {
          throw parts.wrong("verify=verify_peer", "another value", "a peer is always verified")
        }
      case ("cacertfile", false), ("certfile", false), ("keyfile", false), ("verify", false):
        throw parts.wrong("amqps:// with the option \(name)", "amqp://")
      default:
        throw parts.wrong(
          "options heartbeat, connection_timeout, cacertfile, certfile, keyfile, verify", "\"\(name.prefix(40))\"")
      }
    }
    switch (chain, key) {
    case (nil, nil): break
    case (let chain?, let key?): tls?.certificate = (chain, key)
    default: throw parts.wrong("certfile and keyfile together", "one of them")
    }
  }
}

/// The parts of a broker's URI, not yet decoded.
private struct URIParts {
  let subject: String
  let scheme: String
  let userInformation: Substring?
  let authority: Substring
  let pathPart: Substring
  let query: Substring?

  init(_ uri: String, _ subject: String) throws(InputError) {
    self.subject = subject
    let remedy = "for example amqp://user:password@host:5672/vhost"
    guard uri.utf8.count <= 4096 else {
      throw InputError(subject, expected: "at most 4096 bytes", found: "\(uri.utf8.count)", remedy: remedy)
    }
    guard !uri.unicodeScalars.contains(where: { $0.value <= 0x20 || $0.value == 0x7f }) else {
      throw InputError(subject, expected: "no spaces or control characters", found: "some", remedy: remedy)
    }
    let lower = uri.lowercased()
    guard let scheme = ["amqp", "amqps"].first(where: { lower.hasPrefix($0 + "://") }) else {
      throw InputError(subject, expected: "amqp:// or amqps://", found: "another beginning", remedy: remedy)
    }
    self.scheme = scheme
    var rest = uri.dropFirst(scheme.count + 3)
    guard !rest.contains("#") else {
      throw InputError(subject, expected: "no fragment", found: "#", remedy: "write # in a password as %23")
    }
    let queryStart = rest.firstIndex(of: "?")
    query = queryStart.map { rest[rest.index(after: $0)...] }
    if let queryStart { rest = rest[..<queryStart] }
    let pathStart = rest.firstIndex(of: "/") ?? rest.endIndex
    pathPart = rest[pathStart...]
    rest = rest[..<pathStart]
    // What follows may be the rest of a password: it must not get into a name that is shown.
    guard !pathPart.contains("@"), !(query ?? "").contains("@") else {
      throw InputError(
        subject, expected: "user and password before the host, percent-encoded", found: "an @ behind / or ?",
        remedy: "write /, ? and @ in a password as %2F, %3F and %40")
    }
    let at = rest.lastIndex(of: "@")
    userInformation = at.map { rest[..<$0] }
    authority = at.map { rest[rest.index(after: $0)...] } ?? rest
  }

  func wrong(_ expected: String, _ found: String, _ remedy: String = "") -> InputError {
    InputError(subject, expected: expected, found: found, remedy: remedy)
  }

  func credentials() throws(InputError) -> (String, String) {
    guard let userInformation else { return ("guest", "guest") }
    let parts = userInformation.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let user = PercentCoding.decoded(first), !user.isEmpty else {
      throw wrong("a user name before @, percent-encoded", "none that can be read")
    }
    guard let password = parts.count == 2 ? PercentCoding.decoded(parts[1]) : "", !password.contains("\0"),
      !user.contains("\0"), user.utf8.count <= 255
    else { throw wrong("a percent-encoded user and password", "what can't be decoded", "write % as %25") }
    return (user, password)
  }

  func address(defaultPort: UInt16) throws(InputError) -> (String, UInt16) {
    var host = authority
    var port: Substring?
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else {
        throw wrong("an IPv6 address in [brackets]", "no closing bracket")
      }
      host = authority[authority.index(after: authority.startIndex)..<end]
      let rest = authority[authority.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw wrong("a port after the address", "something else") }
      port = rest.isEmpty ? nil : rest.dropFirst()
      // A zone may follow: fe80::1%25eth0.
      let numbers = host.prefix { $0 != "%" }
      guard numbers.contains(":"), numbers.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
        throw wrong("an IPv6 address in [brackets]", "something else")
      }
    } else if let colon = authority.firstIndex(of: ":") {
      host = authority[..<colon]
      port = authority[authority.index(after: colon)...]
    }
    guard !host.isEmpty, host.utf8.count <= 253, let name = PercentCoding.decoded(host), !name.contains("\0") else {
      throw wrong("a host", "none", "for example amqp://user:password@host:5672/vhost")
    }
    guard let port, !port.isEmpty else { return (name, defaultPort) }
    guard port.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = UInt16(port),
      number > 0
    else {
      // Text there may be the rest of a password with an unescaped character.
      throw wrong("a port of 1...65535", "something else", "write @, : and / in a password as %40, %3A and %2F")
    }
    return (name, number)
  }

  /// Without a path, and with `/` alone, the virtual host `/`.
  func virtualHost() throws(InputError) -> String {
    let name = pathPart.dropFirst()
    guard !name.isEmpty, name != "/" else { return "/" }
    guard !name.contains("/") else {
      throw wrong("one virtual host after the host", "several parts", "write / in its name as %2F")
    }
    guard let decoded = PercentCoding.decoded(name), decoded.utf8.count <= 255, !decoded.contains("\0") else {
      throw wrong("a percent-encoded virtual host of at most 255 bytes", "what can't be decoded")
    }
    return decoded
  }

  func options() throws(InputError) -> [(String, String)] {
    guard let query, !query.isEmpty else { return [] }
    var options: [(String, String)] = []
    for part in query.split(separator: "&") {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, let name = PercentCoding.decoded(pair[0]), let value = PercentCoding.decoded(pair[1]),
        !value.isEmpty
      else { throw wrong("options as name=value", "another part after ?") }
      guard !options.contains(where: { $0.0 == name }) else {
        throw wrong("each option once", "\(name.prefix(40)) twice")
      }
      options.append((name, value))
    }
    return options
  }

  func number<Number: FixedWidthInteger>(
    _ name: String, _ value: String, _ range: ClosedRange<Number>
  ) throws(InputError) -> Number {
    guard let number = Number(value), range.contains(number) else {
      throw wrong("\(name) of \(range.lowerBound)...\(range.upperBound)", "\"\(value.prefix(20))\"")
    }
    return number
  }

  func path(_ name: String, _ value: String) throws(InputError) -> String {
    guard !value.contains("\0") else { throw wrong("a path for \(name)", "one with a zero byte") }
    return value
  }

  func isLiteralAddress(_ host: String) -> Bool {
    host.contains(":") || host.split(separator: ".").allSatisfy { UInt32($0) != nil }
  }
}
