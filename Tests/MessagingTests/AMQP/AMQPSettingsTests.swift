import Diagnostics
import Foundation
import Messaging
import Testing

@Suite struct AMQPSettingsTests {
  @Test func readsAllParts() throws {
    let settings = try AMQPSettings(
      parsing: "amqps://wor%40ker:p%3Aa%2Fs%25s@broker.example:5999/steer%2Fscope?heartbeat=30&connection_timeout=2500"
        + "&cacertfile=/etc/ca%20s.pem&certfile=c.pem&keyfile=k.pem&verify=verify_peer")
    #expect(settings.host == "broker.example" && settings.port == 5999)
    #expect(settings.user == "wor@ker" && settings.password == "p:a/s%s")
    #expect(settings.virtualHost == "steer/scope")
    #expect(settings.heartbeat == 30 && settings.connectLimit == 2.5)
    #expect(settings.tls == .init(authorities: "/etc/ca s.pem", certificate: ("c.pem", "k.pem")))
  }

  @Test func hasDefaults() throws {
    let plain = try AMQPSettings(parsing: "amqp://localhost")
    #expect(plain == AMQPSettings(host: "localhost", port: 5672, user: "guest", password: "guest"))
    #expect(plain.virtualHost == "/" && plain.heartbeat == 15 && plain.queuePrefix == "steerscope")
    let tls = try AMQPSettings(parsing: "AMQPS://u@host")
    #expect(tls.port == 5671 && tls.user == "u" && tls.password.isEmpty)
    #expect(tls.tls?.authorities == "/etc/ssl/certs/ca-certificates.crt")
  }

  @Test(arguments: [
    ("", "/"), ("/", "/"), ("//", "/"), ("/%2f", "/"), ("/%2F", "/"), ("/a", "a"), ("/a%2Fb", "a/b"), ("/%C3%A9", "é"),
  ])
  func readsVirtualHosts(_ path: String, _ name: String) throws {
    #expect(try AMQPSettings(parsing: "amqp://u:p@h\(path)").virtualHost == name)
  }

  @Test(
    arguments: [
      ("[::1]", "::1", 5672), ("[fe80::1%25eth0]:1", "fe80::1%eth0", 1), ("127.0.0.1:65535", "127.0.0.1", 65535),
      ("h:", "h", 5672),
    ] as [(String, String, UInt16)])
  func readsAddresses(_ authority: String, _ host: String, _ port: UInt16) throws {
    let settings = try AMQPSettings(parsing: "amqp://u:p@\(authority)/v")
    #expect(settings.host == host && settings.port == port)
  }

  /// Every password here holds the word that no message may show.
  @Test(arguments: [
    "", "hunter2", "http://u:hunter2@h", "amqp:/u:hunter2@h", "amqp://", "amqp://u:hunter2@", "amqp://:hunter2@h",
    "amqp://u:hunter2@h:0", "amqp://u:hunter2@h:65536", "amqp://u:hunter2@h:1x", "amqp://u:hunter2@h:+1",
    "amqp://u:hunter2@[::1", "amqp://u:hunter2@[::1]x", "amqp://u:hunter2@[hunter2]", "amqp://u:hunter2@h/a/b",
    "amqp://u:hunter2%@h", "amqp://u:hunter2%ff@h", "amqp://u:hunter2%00@h", "amqp://u:hun#ter2@h",
    "amqp://u:1/hunter2@h", "amqp://u:1?hunter2=x@h", "amqp://u:1?x=hunter2@h", "amqp://u:/hunter2@h",
    "amqp://u:hunter2@h?x", "amqp://u:hunter2@h?x=1", "amqp://u:hunter2@h?heartbeat=-1",
    "amqp://u:hunter2@h?heartbeat=9999999999999999999999", "amqp://u:hunter2@h?heartbeat=1&heartbeat=2",
    "amqp://u:hunter2@h?connection_timeout=1", "amqp://u:hunter2@h?cacertfile=x", "amqps://u:hunter2@127.0.0.1",
    "amqps://u:hunter2@[::1]", "amqps://u:hunter2@h?verify=verify_none", "amqps://u:hunter2@h?certfile=x",
    "amqp://u:hunter2@h/%zz", "amqp://u:hunter2@h/\(String(repeating: "v", count: 256))", "amqp://u:hunter2 @h",
    "amqp://u:hunter2@h\n", "amqp://u:hunter2@\(String(repeating: "h", count: 254))",
    "amqp://u:hunter2@h?\(String(repeating: "x", count: 5000))=1",
  ])
  func saysWhatIsWrongAndNoPassword(_ uri: String) throws {
    let error = try #require(throws: InputError.self) { try AMQPSettings(parsing: uri, subject: "STEERSCOPE_BROKER") }
    #expect(error.description.hasPrefix("STEERSCOPE_BROKER: expected "))
    #expect(!error.description.contains("hunter2"))
  }

  @Test func neverShowsThePassword() throws {
    let settings = try AMQPSettings(parsing: "amqp://us%40er:hunter2@[::1]:7/a%2Fb")
    #expect("\(settings)" == "amqp://us%40er:***@[::1]:7/a%2Fb")
    var dumped = ""
    dump(settings, to: &dumped)
    for text in [dumped, String(reflecting: settings), "\([settings])", "\(Optional(settings) as Any)"] {
      #expect(!text.contains("hunter2"))
      #expect(text.contains("***"))
    }
  }

  @Test func rereadsItsOwnDescription() throws {
    for uri in ["amqp://u:***@h:1", "amqps://%C3%A9:***@h.example:5671/v%20w", "amqp://u:***@[::1]:5672"] {
      #expect("\(try AMQPSettings(parsing: uri))" == uri)
    }
  }
}
