/// Turns the pieces of tokens back into bytes; the opposite of normalisation and of the byte alphabet.
struct Decoder: Sendable {
  enum Step: Sendable {
    /// Pieces are written in `ByteAlphabet`.
    case byteLevel
    case replace([UInt8], with: [UInt8])
    /// Pieces `<0xXX>` are bytes.
    case byteFallback
    /// Removes up to so many copies of a character from the two ends of the whole text.
    case strip([UInt8], start: Int, end: Int)
    /// Removes the space that encoding has put before the first word, and, if `afterAdded`, before the word after each added token.
    case removePrefixSpace(afterAdded: Bool)
  }

  /// A token on its way to bytes.
  struct Piece {
    var bytes: [UInt8]
    /// From the list of added tokens: its content is text as it stands.
    var isAdded: Bool
  }

  var steps: [Step]

  /// The bytes of a sequence of tokens.
  func decode(_ pieces: [Piece]) -> [UInt8] {
    var pieces = pieces
    for step in steps {
      switch step {
      case .strip(let character, let start, let end):
        pieces = [Piece(bytes: Self.strip(pieces.flatMap(\.bytes), character, start: start, end: end), isAdded: false)]
      case .removePrefixSpace(let afterAdded):
        for index in pieces.indices where !pieces[index].isAdded && pieces[index].bytes.first == 0x20 {
          if index == 0 || afterAdded && pieces[index - 1].isAdded { pieces[index].bytes.removeFirst() }
        }
      case .byteLevel, .replace, .byteFallback:
        for index in pieces.indices { Self.apply(step, to: &pieces[index]) }
      }
    }
    return pieces.flatMap(\.bytes)
  }

  /// The bytes of one token wherever it stands.
  func decode(alone piece: Piece) -> [UInt8] {
    var piece = piece
    for step in steps { Self.apply(step, to: &piece) }
    return piece.bytes
  }

  private static func apply(_ step: Step, to piece: inout Piece) {
    switch step {
    case .byteLevel:
      if !piece.isAdded, let bytes = ByteAlphabet.decode(piece.bytes) { piece.bytes = bytes }
    case .replace(let old, let new):
      var result: [UInt8] = []
      var position = 0
      for range in ByteSearch.ranges(of: old, in: piece.bytes, 0..<piece.bytes.count) {
        result += piece.bytes[position..<range.lowerBound] + new
        position = range.upperBound
      }
      piece.bytes = result + piece.bytes[position...]
    case .byteFallback:
      if !piece.isAdded, let byte = byte(ofPiece: piece.bytes) { piece.bytes = [byte] }
    case .strip, .removePrefixSpace:
      return
    }
  }

  /// The byte that a piece `<0xXX>` stands for.
  static func byte(ofPiece piece: [UInt8]) -> UInt8? {
    guard piece.count == 6, piece.starts(with: Array("<0x".utf8)), piece[5] == UInt8(ascii: ">") else { return nil }
    return UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16)
  }

  private static func strip(_ bytes: [UInt8], _ character: [UInt8], start: Int, end: Int) -> [UInt8] {
    guard !character.isEmpty else { return bytes }
    var result = bytes[...]
    for _ in 0..<start where result.starts(with: character) { result = result.dropFirst(character.count) }
    for _ in 0..<end where result.suffix(character.count).elementsEqual(character) {
      result = result.dropLast(character.count)
    }
    return Array(result)
  }
}
