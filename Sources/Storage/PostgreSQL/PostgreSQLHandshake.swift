internal import CPostgreSQL
internal import Diagnostics
internal import Foundation

/// Opens connections, step by step: only so does libpq give the SQLSTATE of a refusal, whatever language the server speaks.
struct PostgreSQLHandshake {
  let address: PostgreSQLAddress
  let settings: PostgreSQLSettings

  /// Seconds for one host.
  private var seconds: Int { address.connectTimeout ?? settings.connectTimeout }

  /// Connects within the time allowed. Throws `InputError` or `StoreError`.
  func connect() throws -> OpaquePointer {
    guard let handle = start() else { throw StoreError(.unreachable, "\(address): out of memory") }
    PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
    let isOpen = PQstatus(handle) != CONNECTION_BAD && wait(for: handle)
    guard isOpen else {
      defer { PQfinish(handle) }
      throw refusal(of: handle)
    }
    PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
    return handle
  }

  /// What comes before the URI it may override; what comes after is ours to say.
  private func start() -> OpaquePointer? {
    let parameters = [
      ("keepalives", "1"), ("keepalives_idle", "10"),
      ("keepalives_interval", "5"), ("keepalives_count", "2"),
      ("tcp_user_timeout", "\(settings.silenceTimeout * 1000)"),
      ("fallback_application_name", settings.applicationName), ("target_session_attrs", "read-write"),
      ("dbname", address.uri), ("client_encoding", "UTF8"),
    ]
    return Self.withCStrings(parameters.map(\.0)) { keywords in
      Self.withCStrings(parameters.map(\.1)) { values in PQconnectStartParams(keywords, values, 1) }
    }
  }

  /// Lends texts as a list of C strings that ends with a null pointer.
  private static func withCStrings<T>(_ texts: [String], _ body: ([UnsafePointer<CChar>?]) -> T) -> T {
    var pointers: [UnsafePointer<CChar>?] = []
    func next(_ index: Int) -> T {
      if index == texts.count { return body(pointers + [nil]) }
      return texts[index].withCString { pointer in
        pointers.append(pointer)
        return next(index + 1)
      }
    }
    return next(0)
  }

  /// Goes through the handshake; false when it failed or took too long.
  private func wait(for handle: OpaquePointer) -> Bool {
    // Each host of a list may take its time.
    let deadline = ContinuousClock.now + .seconds(seconds * address.hosts)
    var state = PGRES_POLLING_WRITING
    while state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED {
      let left = ContinuousClock.now.duration(to: deadline)
      guard left > .zero else { return false }
      var request = pollfd(
        fd: PQsocket(handle), events: Int16(state == PGRES_POLLING_READING ? POLLIN : POLLOUT), revents: 0)
      let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
      let ready = poll(&request, 1, Int32(clamping: milliseconds + 1))
      if ready < 0, errno != EINTR { return false }
      if ready > 0 { state = PQconnectPoll(handle) }
    }
    return state == PGRES_POLLING_OK
  }

  /// Why there is no connection.
  private func refusal(of handle: OpaquePointer) -> any Error {
    let said = String(cString: PQerrorMessage(handle))
    // A server's refusal: `... FATAL:  28P01: password authentication failed for user "x"`, then where in its source.
    let lines = said.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let message = address.redacted(lines.filter { !$0.hasPrefix("LOCATION:") }.joined(separator: "; "))
    let state = said.firstMatch(of: #/: {2}([0-9A-Z]{5}): /#).map { String($0.1) } ?? ""
    if PQconnectionNeedsPassword(handle) != 0 || state.hasPrefix("28") {
      return InputError(
        "\(address)", expected: "a user and password that the server accepts", found: message,
        remedy: "mend STEERSCOPE_DATABASE")
    }
    if state == "3D000" {
      return InputError(
        "\(address)", expected: "a database of that name", found: message,
        remedy: "create it, or mend STEERSCOPE_DATABASE")
    }
    let reason = message.isEmpty ? "no answer within \(seconds) s" : message
    return StoreError(state == "53300" ? .busy : .unreachable, "\(address): \(reason)")
  }
}
