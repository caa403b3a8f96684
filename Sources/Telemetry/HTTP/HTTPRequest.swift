/// The head of a request: what is wanted. Bodies are not read: nothing here takes one.
package struct HTTPRequest: Sendable, Equatable {
  /// `GET` or `HEAD`; others are refused before.
  package let method: String
  /// From the first `/`, as it was sent, without the query.
  package let path: String
  /// What follows `?`, as it was sent; empty without.
  package let query: String
  /// Names in lower case; the values of a repeated name in order.
  package let headers: [String: [String]]

  /// Reads a head that ends in an empty line (RFC 9112, sections 2 to 5), strictly: what could be read in two ways is
  /// refused.
  ///
  /// - Throws: the answer to a head that is not one.
  init(parsing head: [UInt8]) throws(HTTPResponse) {
    var lines = try Self.lines(of: head)
    guard !lines.isEmpty else { throw .failure(.badRequest, "there is no request line") }
    let words = lines.removeFirst().split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count == 3, Self.isToken(words[0]), let target = Self.text(words[1]), let version = Self.text(words[2])
    else { throw .failure(.badRequest, "not a request line") }
    guard version.hasPrefix("HTTP/1.") else { throw .failure(.versionNotSupported, "HTTP/1.1 is spoken here") }
    guard target.utf8.first == UInt8(ascii: "/") else { throw .failure(.badRequest, "the target is not a path") }
    guard words[0].elementsEqual("GET".utf8) || words[0].elementsEqual("HEAD".utf8) else {
      throw .failure(.methodNotAllowed, "only GET and HEAD", headers: [("Allow", "GET, HEAD")])
    }
    method = words[0].count == 3 ? "GET" : "HEAD"
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = String(parts[0])
    query = parts.count > 1 ? String(parts[1]) : ""

    var headers: [String: [String]] = [:]
    for line in lines {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), Self.isToken(line[..<colon]),
        let value = Self.text(line[line.index(after: colon)...].trimmingBlanks)
      else { throw .failure(.badRequest, "not a header") }
      headers[String(decoding: line[..<colon], as: UTF8.self).lowercased(), default: []].append(value)
    }
    guard version == "HTTP/1.0" || headers["host"]?.count == 1 else {
      throw .failure(.badRequest, "there must be one Host header")
    }
    self.headers = headers
  }

  /// The lines before the empty one, which ends the head. A line ends in CR LF, or LF alone.
  private static func lines(of head: [UInt8]) throws(HTTPResponse) -> [ArraySlice<UInt8>] {
    var lines: [ArraySlice<UInt8>] = []
    for line in head.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      if line.isEmpty { break }
      guard lines.count <= 100 else { throw .failure(.headersTooLarge, "too many headers") }
      lines.append(line)
    }
    return lines
  }

  /// Text without control characters; nil for anything else.
  private static func text(_ bytes: ArraySlice<UInt8>) -> String? {
    guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == UInt8(ascii: "\t") }) else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
    !bytes.isEmpty
      && bytes.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
      }
  }
}

extension ArraySlice<UInt8> {
  fileprivate var trimmingBlanks: ArraySlice<UInt8> {
    let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    let front = drop(while: isBlank)
    return front.prefix((front.lastIndex { !isBlank($0) } ?? front.startIndex - 1) + 1 - front.startIndex)
  }
}
