internal import CPostgreSQL
package import Diagnostics

/// Where a PostgreSQL server is and how one signs in, from a connection URI. Its description holds no password.
package struct PostgreSQLAddress: Sendable, CustomStringConvertible {
  /// The URI, which may hold a password: for libpq alone.
  let uri: String
  /// `host:port/database`, for messages.
  package let description: String
  /// How many servers the URI lists.
  let hosts: Int
  /// `connect_timeout`, where the URI has it.
  let connectTimeout: Int?
  /// Texts that no message may show.
  private let secrets: [String]

  /// Reads a URI as libpq does. Throws for one that it can't read, or reads otherwise than it was meant: a password with
  /// `@`, `:` or `/` in it must be percent-encoded. What was found is not shown: it may hold the password.
  package init(parsing uri: String) throws(InputError) {
    let options = uri.utf8.contains(0) ? nil : Self.options(of: uri)
    guard let options, Self.isPlausible(options) else {
      throw InputError(
        "STEERSCOPE_DATABASE", expected: "postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        found: "a URI that can't be read so",
        remedy: "write @ : / ? # % in the password as %40 %3A %2F %3F %23 %25")
    }
    self.uri = uri
    let host = options["host"] ?? options["hostaddr"] ?? "localhost"
    description = "postgresql://\(host):\(options["port"] ?? "5432")/\(options["dbname"] ?? options["user"] ?? "")"
    hosts = host.split(separator: ",").count
    connectTimeout = options["connect_timeout"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    let passwords = ["password", "sslpassword"].compactMap { options[$0] }.filter { !$0.isEmpty }
    secrets = passwords + passwords.compactMap { Self.encoded($0, in: uri) }
  }

  /// A message of libpq's or the server's without the password.
  func redacted(_ message: String) -> String {
    var message = message
    for secret in secrets {
      message = message.split(separator: secret, omittingEmptySubsequences: false).joined(separator: "***")
    }
    return message
  }

  private static func options(of uri: String) -> [String: String]? {
    guard let list = PQconninfoParse(uri, nil) else { return nil }
    defer { PQconninfoFree(list) }
    var options: [String: String] = [:]
    var entry = list
    while let keyword = entry.pointee.keyword {
      if let value = entry.pointee.val { options[String(cString: keyword)] = String(cString: value) }
      entry += 1
    }
    return options
  }

  private static func isPlausible(_ options: [String: String]) -> Bool {
    let isNamed = ["host", "dbname"].allSatisfy { options[$0]?.contains("@") != true }
    let hasPort = options["port"].map { $0.utf8.allSatisfy { $0 >= 48 && $0 <= 57 || $0 == 44 } } ?? true
    return isNamed && hasPort
  }

  /// The password as the URI spells it, where that is another way.
  private static func encoded(_ password: String, in uri: String) -> String? {
    guard let user = uri.split(separator: "@", maxSplits: 1).first?.split(separator: ":", maxSplits: 2).last else {
      return nil
    }
    return user.isEmpty || String(user) == password || !user.contains("%") ? nil : String(user)
  }
}
