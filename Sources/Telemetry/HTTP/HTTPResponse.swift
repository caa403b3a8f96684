/// The answer to a request.
package struct HTTPResponse: Error, Sendable, Equatable {
  package enum Status: Int, Sendable {
    case ok = 200
    case badRequest = 400
    case notFound = 404
    case methodNotAllowed = 405
    case requestTimeout = 408
    case headersTooLarge = 431
    case internalError = 500
    case unavailable = 503
    case versionNotSupported = 505

    var phrase: String {
      switch self {
      case .ok: "OK"
      case .badRequest: "Bad Request"
      case .notFound: "Not Found"
      case .methodNotAllowed: "Method Not Allowed"
      case .requestTimeout: "Request Timeout"
      case .headersTooLarge: "Request Header Fields Too Large"
      case .internalError: "Internal Server Error"
      case .unavailable: "Service Unavailable"
      case .versionNotSupported: "HTTP Version Not Supported"
      }
    }
  }

  package var status: Status
  /// Beside those that every answer has: names and values, in order, of our own making.
  package var headers: [Header]
  package var body: [UInt8]

  package struct Header: Sendable, Equatable {
    package let name: String
    package let value: String
  }

  /// - Parameter contentType: the body's media type.
  package init(_ status: Status = .ok, contentType: String, headers: [(String, String)] = [], body: [UInt8]) {
    self.status = status
    self.headers = [Header(name: "Content-Type", value: contentType)] + headers.map { Header(name: $0.0, value: $0.1) }
    self.body = body
  }

  /// Plain text, a line feed added.
  package init(_ status: Status = .ok, text: String, headers: [(String, String)] = []) {
    self.init(status, contentType: "text/plain; charset=utf-8", headers: headers, body: Array("\(text)\n".utf8))
  }

  static func failure(_ status: Status, _ text: String, headers: [(String, String)] = []) -> HTTPResponse {
    HTTPResponse(status, text: text, headers: headers)
  }

  /// As it goes over the wire. One request a connection: what a client sends after it is not looked at.
  func bytes(withBody: Bool) -> [UInt8] {
    let fixed = [
      ("Content-Length", "\(body.count)"), ("Connection", "close"), ("Cache-Control", "no-store"),
      ("X-Content-Type-Options", "nosniff"),
    ]
    var head = "HTTP/1.1 \(status.rawValue) \(status.phrase)\r\n"
    for (name, value) in headers.map({ ($0.name, $0.value) }) + fixed { head += "\(name): \(value)\r\n" }
    return Array("\(head)\r\n".utf8) + (withBody ? body : [])
  }
}
