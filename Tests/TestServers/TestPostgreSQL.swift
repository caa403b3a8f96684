import Foundation

/// A PostgreSQL server.
package struct TestPostgreSQL: Sendable {
  private let script: ServerScript
  package let host: String
  package let port: Int
  /// The superuser.
  package let user: String
  package let password: String
  package let socketFolder: String
  /// The certificate (PEM) of the authority that signed the server's certificate, which is for `localhost`.
  package let certificateAuthority: String

  init(script: ServerScript, addresses: ServerAddresses) throws {
    self.script = script
    host = try addresses("POSTGRESQL_HOST")
    port = try addresses.number("POSTGRESQL_PORT")
    user = try addresses("POSTGRESQL_USER")
    password = try addresses("POSTGRESQL_PASSWORD")
    socketFolder = try addresses("POSTGRESQL_SOCKET_FOLDER")
    certificateAuthority = try addresses("CERTIFICATE_AUTHORITY")
  }

  /// The connection URI of a database; by default the superuser's, else that of a role with a password.
  package func uri(database: String, user: String? = nil, password: String? = nil, host: String? = nil) -> String {
    "postgresql://\(user ?? self.user):\(password ?? self.password)@\(host ?? self.host):\(port)/\(database)"
  }

  /// Makes an empty database with a name of its own and returns its URI (the superuser's).
  package func freshDatabase() async throws -> String { uri(database: try await freshDatabaseName()) }

  /// Makes an empty database and returns its name.
  package func freshDatabaseName() async throws -> String {
    let name = "test_\(UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: "_"))"
    try await sql("CREATE DATABASE \(name)")
    return name
  }

  /// Runs SQL as superuser, through `psql`; rows come back as lines with `|` between columns.
  @discardableResult
  package func sql(_ text: String, in database: String = "postgres") async throws -> String {
    try await script.call("psql", "-d", database, "-Atc", text)
  }

  /// What a server shows to those who ask who it is.
  package enum Certificate: String, Sendable {
    /// For `localhost`, of our own authority.
    case ours = "server"
    /// The same, but out of date.
    case expired
    /// The same, of an authority that nobody knows.
    case foreign
  }

  /// Shows another certificate to connections from now on.
  package func use(_ certificate: Certificate) async throws {
    try await script.call("certificate", certificate.rawValue)
  }

  /// Stops it in an orderly way (connections are cut, transactions rolled back), and starts it again on the same port.
  package func restart() async throws { try await script.call("restart", "postgresql") }
  package func stop() async throws { try await script.call("stop", "postgresql") }
  /// SIGKILL to all its processes.
  package func kill() async throws { try await script.call("kill", "postgresql") }
  package func start() async throws { try await script.call("start", "postgresql") }
}
