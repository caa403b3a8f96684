/// Cuts bytes into the longest runs that are valid UTF-8 and the single bytes between them that are not.
enum UTF8Runs {
  enum Run: Equatable {
    case text(Range<Int>)
    case invalid(UInt8)
  }

  /// Complexity: linear in the number of bytes.
  static func split(_ bytes: [UInt8]) -> [Run] {
    if bytes.isEmpty { return [] }
    if String(validating: bytes, as: UTF8.self) != nil { return [.text(0..<bytes.count)] }
    var runs: [Run] = []
    var start = 0
    var position = 0
    while position < bytes.count {
      let length = characterLength(bytes, position)
      if length > 0 {
        position += length
        continue
      }
      if start < position { runs.append(.text(start..<position)) }
      runs.append(.invalid(bytes[position]))
      position += 1
      start = position
    }
    if start < position { runs.append(.text(start..<position)) }
    return runs
  }

  /// The number of bytes of the character at `position`, 0 where none is well formed (Unicode 15, table 3-7).
  private static func characterLength(_ bytes: [UInt8], _ position: Int) -> Int {
    let first = bytes[position]
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch first {
    case 0x00...0x7F: return 1
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: length = 4
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: return 0
    }
    guard position + length <= bytes.count, second.contains(bytes[position + 1]) else { return 0 }
    for index in 2..<4 where index < length && bytes[position + index] & 0xC0 != 0x80 { return 0 }
    return length
  }
}
