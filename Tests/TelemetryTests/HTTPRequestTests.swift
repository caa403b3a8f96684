import Testing

@testable import Telemetry

@Suite struct HTTPRequestTests {
  private func parse(_ text: String) throws(HTTPResponse) -> HTTPRequest { try HTTPRequest(parsing: Array(text.utf8)) }

  @Test func aRequestIsRead() throws {
    let request = try parse("GET /metrics?a=1&b=?x HTTP/1.1\r\nHost: localhost:9464\r\nX-A:  one \t\r\nx-a:two\r\n\r\n")
    #expect(request.method == "GET")
    #expect(request.path == "/metrics")
    #expect(request.query == "a=1&b=?x")
    #expect(request.headers == ["host": ["localhost:9464"], "x-a": ["one", "two"]])
    #expect(try parse("HEAD / HTTP/1.0\n\n").method == "HEAD")
  }

  @Test(arguments: [
    ("\r\n\r\n", 400), ("GET\r\n\r\n", 400), ("GET /\r\n\r\n", 400), ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", 400), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("G\u{1}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 405), ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
    ("GET /\u{0} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
  ])
  func whatIsNoRequestIsRefused(text: String, status: Int) {
    do throws(HTTPResponse) {
      let request = try parse(text)
      Issue.record("read as \(request)")
    } catch {
      #expect(error.status.rawValue == status)
    }
  }

  @Test func bytesThatAreNoTextAreRefused() {
    #expect(throws: HTTPResponse.self) {
      try HTTPRequest(parsing: Array("GET /".utf8) + [0xFF] + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
    }
  }

  @Test func tooManyHeadersAreRefused() {
    let many = (0..<200).map { "X-\($0): 1\r\n" }.joined()
    #expect(throws: HTTPResponse.self) { try parse("GET / HTTP/1.1\r\nHost: a\r\n\(many)\r\n") }
  }

  @Test func answersAreWholeMessages() {
    let response = HTTPResponse(text: "well")
    let text = String(decoding: response.bytes(withBody: true), as: UTF8.self)
    #expect(text.hasPrefix("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"))
    #expect(text.hasSuffix("\r\n\r\nwell\n"))
    #expect(String(decoding: response.bytes(withBody: false), as: UTF8.self) + "well\n" == text)
  }

  @Test func addressesAreShownAsTheyAreWritten() {
    #expect(ListenAddress(port: 9464).description == "127.0.0.1:9464")
    #expect(ListenAddress(host: "::1", port: 9).description == "[::1]:9")
    #expect(ListenAddress(host: "::", port: 0).socketAddress?.isSix == true)
    #expect(ListenAddress(host: "0.0.0.0", port: 0).socketAddress?.isSix == false)
    for host in ["", "localhost", "1.2.3", "[::1]", "1.2.3.4 ", "a\u{0}b"] {
      #expect(ListenAddress(host: host, port: 0).socketAddress == nil, "\(host)")
    }
  }
}
