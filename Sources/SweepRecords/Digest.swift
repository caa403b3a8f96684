internal import CLibCrypto

/// A SHA-256 digest: the name of everything that is found again by its content (files, inputs, tasks, artifacts).
package struct Digest: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
  /// 64 lower-case hexadecimal digits.
  package let hex: String

  /// Takes 64 hexadecimal digits; nil for anything else.
  package init?(hex: String) {
    let digits = hex.lowercased()
    guard digits.utf8.count == 64 else { return nil }
    for digit in digits.utf8 where !(digit >= 48 && digit <= 57 || digit >= 97 && digit <= 102) { return nil }
    self.hex = digits
  }

  fileprivate init(bytes: [UInt8]) {
    let digits = Array("0123456789abcdef".utf8)
    hex = String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// The digest of some bytes. O(n).
  package init(of bytes: [UInt8]) {
    var builder = DigestBuilder()
    builder.update(bytes.span.bytes)
    self = builder.finish()
  }

  /// The digest of a text's UTF-8.
  package init(of text: String) { self.init(of: Array(text.utf8)) }

  package var description: String { hex }

  /// The first twelve digits, for people.
  package var short: String { String(hex.prefix(12)) }

  package static func < (a: Digest, b: Digest) -> Bool { a.hex < b.hex }

  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let digest = Digest(hex: text) else {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath,
          debugDescription: "expected a SHA-256 digest of 64 hexadecimal digits, found \"\(text.prefix(80))\""))
    }
    self = digest
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(hex)
  }
}

/// Takes a SHA-256 digest piece by piece, for files larger than memory.
package struct DigestBuilder: ~Copyable {
  private let context: OpaquePointer?

  package init() {
    context = EVP_MD_CTX_new()
    let started = EVP_DigestInit_ex(context, EVP_sha256(), nil)
    precondition(started == 1, "libcrypto offers no SHA-256")
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Adds bytes. O(n).
  package mutating func update(_ bytes: RawSpan) {
    bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return }
      EVP_DigestUpdate(context, base, buffer.count)
    }
  }

  /// The digest of all that was added.
  package consuming func finish() -> Digest {
    var bytes = [UInt8](repeating: 0, count: 32)
    EVP_DigestFinal_ex(context, &bytes, nil)
    return Digest(bytes: bytes)
  }
}
