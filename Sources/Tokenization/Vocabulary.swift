/// The pieces of a model by id, and the ids by piece.
struct Vocabulary: Sendable {
  /// By id; empty where the file leaves a hole.
  private(set) var pieces: [[UInt8]] = []
  private var ids: [Piece: Int32] = [:]

  /// A piece as a key: hashed eight bytes at a time, which is several times faster than an array's own hash.
  private struct Piece: Hashable {
    let bytes: [UInt8]

    func hash(into hasher: inout Hasher) {
      var word: UInt64 = UInt64(bytes.count)
      for (index, byte) in bytes.enumerated() {
        word = word << 8 | UInt64(byte)
        if index & 7 == 7 {
          hasher.combine(word)
          word = 0
        }
      }
      hasher.combine(word)
    }
  }

  init(capacity: Int) {
    pieces.reserveCapacity(capacity)
    ids.reserveCapacity(capacity)
  }

  /// Gives a piece its id.
  ///
  /// - Returns: what is wrong with the pair, nil if it was taken. An id is at most `limit`, which bounds the memory that
  ///   a lying file can ask for.
  mutating func insert(_ piece: [UInt8], id: Int, limit: Int) -> String? {
    guard (0...limit).contains(id) else { return "id \(id), which is not in 0...\(limit)" }
    if id >= pieces.count {
      pieces.append(contentsOf: repeatElement([], count: id + 1 - pieces.count))
    } else if !pieces[id].isEmpty {
      return "id \(id) for two tokens"
    }
    if piece.isEmpty { return nil }
    pieces[id] = piece
    guard ids.updateValue(Int32(id), forKey: Piece(bytes: piece)) == nil else { return "one token with two ids" }
    return nil
  }

  /// The id of a piece.
  func id(_ piece: [UInt8]) -> Int32? { ids[Piece(bytes: piece)] }

  /// The greatest id that a file with `count` tokens may use: real files leave some holes, not many times their size.
  static func greatestID(count: Int) -> Int { 2 * count + 65_536 }
}
