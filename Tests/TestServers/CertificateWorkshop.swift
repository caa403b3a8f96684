package import Foundation

/// Certificates made for a test with openssl, in a folder of its own, and servers that show them.
package struct CertificateWorkshop: Sendable {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  package let folder: URL

  package init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "certificates-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  package func path(_ name: String) -> String { folder.appending(path: name).path }

  package func remove() { try? FileManager.default.removeItem(at: folder) }

  private func openssl(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/openssl")
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.standardOutput = Pipe()
    process.standardError = FileHandle.nullDevice
    process.standardInput = Pipe()
    try process.run()
    return process
  }

  private func run(_ arguments: [String]) throws {
    let process = try openssl(arguments)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure(description: "openssl \(arguments)") }
  }

  /// An authority: `NAME.pem`, `NAME.key`.
  package func authority(_ name: String) throws {
    try run([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
      "/CN=\(name)", "-keyout", "\(name).key", "-out", "\(name).pem",
    ])
  }

  /// A certificate for a host, or for a client of that name: `NAME.pem`, `NAME.key`. It is expired where `days` is
  /// negative.
  package func certificate(_ name: String, signedBy authority: String, host: String, days: Int) throws {
    try run([
      "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(host)", "-keyout",
      "\(name).key", "-out", "\(name).csr",
    ])
    try Data("subjectAltName=DNS:\(host)\n".utf8).write(to: folder.appending(path: "\(name).ext"))
    try run([
      "x509", "-req", "-in", "\(name).csr", "-CA", "\(authority).pem", "-CAkey", "\(authority).key",
      "-CAcreateserial", "-days", "\(days)", "-extfile", "\(name).ext", "-out", "\(name).pem",
    ])
  }

  /// A server on a free port that shows a certificate, and says nothing more.
  package func serve(_ name: String, options: [String] = []) throws -> (Process, UInt16) {
    let process = try openssl(
      ["s_server", "-accept", "127.0.0.1:0", "-cert", "\(name).pem", "-key", "\(name).key"] + options)
    guard let output = (process.standardOutput as? Pipe)?.fileHandleForReading else {
      throw Failure(description: "no output of openssl s_server")
    }
    var text = ""
    while !text.contains("ACCEPT"), case let data = output.availableData, !data.isEmpty {
      text += String(decoding: data, as: UTF8.self)
    }
    guard let port = text.firstMatch(of: /ACCEPT [^\n]*:(\d+)/).flatMap({ UInt16($0.1) }) else {
      throw Failure(description: "openssl s_server said no port: \(text)")
    }
    return (process, port)
  }
}
