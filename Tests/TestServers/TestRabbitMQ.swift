import Foundation

/// A RabbitMQ node.
package struct TestRabbitMQ: Sendable {
  private let script: ServerScript
  package let host: String
  package let port: Int
  package let tlsPort: Int
  /// An administrator.
  package let user: String
  package let password: String
  /// The default virtual host, `/`.
  package let uri: String
  /// The same with TLS, on `localhost`, for which the certificate is.
  package let tlsURI: String
  /// The certificate (PEM) of the authority that signed the node's certificate.
  package let certificateAuthority: String

  init(script: ServerScript, addresses: ServerAddresses) throws {
    self.script = script
    host = try addresses("RABBITMQ_HOST")
    port = try addresses.number("RABBITMQ_PORT")
    tlsPort = try addresses.number("RABBITMQ_TLS_PORT")
    user = try addresses("RABBITMQ_USER")
    password = try addresses("RABBITMQ_PASSWORD")
    uri = try addresses("RABBITMQ_URI")
    tlsURI = try addresses("RABBITMQ_TLS_URI")
    certificateAuthority = try addresses("CERTIFICATE_AUTHORITY")
  }

  /// Runs `rabbitmqctl --quiet`; about half a second.
  @discardableResult
  package func control(_ arguments: [String]) async throws -> String {
    try await script.run(["rabbitmqctl"] + arguments)
  }

  /// Makes a virtual host of its own, with all rights for the administrator, and returns its URI.
  package func freshVirtualHost() async throws -> String {
    let name = "test-\(UUID().uuidString.lowercased())"
    try await control(["add_vhost", name])
    try await control(["set_permissions", "-p", name, user, ".*", ".*", ".*"])
    return "amqp://\(user):\(password)@\(host):\(port)/\(name)"
  }

  /// Publishes a message of so many spaces, from inside the node, past all limits of clients.
  package func publish(bytes: Int, to queue: String, in virtualHost: String) async throws {
    try await control([
      "eval",
      """
      rabbit_basic:publish({resource, <<"\(virtualHost)">>, exchange, <<>>}, <<"\(queue)">>, [], \
      binary:copy(<<" ">>, \(bytes))).
      """,
    ])
  }

  /// Stops the node in an orderly way and starts it again on the same ports; seconds.
  package func restart() async throws { try await script.call("restart", "rabbitmq") }
  package func stop() async throws { try await script.call("stop", "rabbitmq") }
  /// SIGKILL.
  package func kill() async throws { try await script.call("kill", "rabbitmq") }
  package func start() async throws { try await script.call("start", "rabbitmq") }
}
