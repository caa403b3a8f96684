/// GPT-2's alphabet of 256 printable characters that stand for the bytes, in which byte-level vocabularies are written:
/// printable Latin-1 characters stand for themselves, the other bytes for U+0100 onwards in rising order.
enum ByteAlphabet {
  /// The UTF-8 of the character that stands for each byte.
  static let characters: [[UInt8]] = scalars.map { Array(String(Character($0)).utf8) }

  private static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0...255).map { (byte: UInt32) in
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      defer { if !isPrintable { next += 1 } }
      return Unicode.Scalar(isPrintable ? byte : next) ?? " "
    }
  }()

  private static let bytes: [Unicode.Scalar: UInt8] = Dictionary(
    uniqueKeysWithValues: scalars.enumerated().map { ($0.element, UInt8($0.offset)) })

  /// The bytes that a piece of a vocabulary stands for; nil where a character of it is not in the alphabet.
  static func decode(_ piece: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(piece.count)
    for scalar in String(decoding: piece, as: UTF8.self).unicodeScalars {
      guard let byte = bytes[scalar] else { return nil }
      result.append(byte)
    }
    return result
  }

  /// The piece that stands for some bytes.
  static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    for byte in bytes { result += characters[Int(byte)] }
    return result
  }
}
