/// How to reach a broker, and how to behave towards it. No description of it shows the password.
package struct AMQPSettings: Sendable, Equatable {
  /// A connection with TLS of version 1.2 or newer, to a peer whose certificate and name are verified.
  package struct TLS: Sendable, Equatable {
    /// The certificates of the authorities that are trusted, a PEM file.
    package var authorities = TLS.defaultAuthorities
    /// Our own certificate and its key, PEM files, where the broker asks for one.
    package var certificate: (chain: String, key: String)?

    /// Debian's bundle.
    package static let defaultAuthorities = "/etc/ssl/certs/ca-certificates.crt"

    package init(authorities: String = TLS.defaultAuthorities, certificate: (chain: String, key: String)? = nil) {
      self.authorities = authorities
      self.certificate = certificate
    }

    package static func == (a: TLS, b: TLS) -> Bool {
      a.authorities == b.authorities && a.certificate?.chain == b.certificate?.chain
        && a.certificate?.key == b.certificate?.key
    }
  }

  package var host: String
  package var port: UInt16
  package var user: String
  package var password: String
  package var virtualHost: String
  /// Nil for a plain connection.
  package var tls: TLS?
  /// Seconds between signs of life, both ways; 0 for none.
  package var heartbeat: UInt16 = 15
  /// Seconds until a connection must be open, socket, TLS and login together.
  package var connectLimit: Double = 10
  /// Seconds until the broker must have answered a request.
  package var replyLimit: Double = 10
  /// Seconds until the fate of a published batch is `unknown`.
  package var publishLimit: Double = 10
  /// How many publications may be unconfirmed at a time.
  package var confirmWindow = 1024
  /// How many messages may wait to be published; more are refused.
  package var publishCapacity = 100_000
  /// What the names of exchange and queues begin with.
  package var queuePrefix = AMQPTopology.defaultPrefix
  /// Under which the broker's tools show our connections.
  package var connectionName = "steerscope"
  /// Of this program, for the broker's tools.
  package var version = ""

  package init(
    host: String, port: UInt16 = 5672, user: String, password: String, virtualHost: String = "/", tls: TLS? = nil
  ) {
    self.host = host
    self.port = port
    self.user = user
    self.password = password
    self.virtualHost = virtualHost
    self.tls = tls
  }
}

extension AMQPSettings: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The URI, without the password.
  package var description: String {
    let name = host.contains(":") ? "[\(host)]" : host
    let vhost = virtualHost == "/" ? "" : "/\(PercentCoding.encoded(virtualHost))"
    return "\(tls == nil ? "amqp" : "amqps")://\(PercentCoding.encoded(user)):***@\(name):\(port)\(vhost)"
  }

  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: ["uri": description]) }
}

extension ClientIdentity: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  var description: String { "\(user) as \(connectionName)" }
  var debugDescription: String { description }
  var customMirror: Mirror { Mirror(self, children: ["user": user]) }
}
