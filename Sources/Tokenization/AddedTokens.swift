/// A token that is recognised in the text before anything else: special tokens, and what was added to a vocabulary.
struct AddedToken: Sendable {
  var id: Int
  var content: [UInt8]
  /// Only where no letter, digit or underscore touches it.
  var isSingleWord = false
  /// Swallows the white space before it.
  var stripsLeft = false
  /// Swallows the white space after it.
  var stripsRight = false
  /// Looked for in the normalised text, not in the text as given.
  var isNormalized = false
  /// Has a meaning to the model (begin, end, turn); left out where text is wanted without such.
  var isSpecial = false
}

/// Finds tokens in text: at each place the longest, from left to right.
struct AddedTokenFinder: Sendable {
  enum Part: Equatable {
    case token(Int)
    case text(Range<Int>)
  }

  private var tokens: [AddedToken] = []
  /// `node << 8 | byte` to the next node of the tree of all contents.
  private var edges: [UInt64: Int32] = [:]
  /// By node: the token that ends there, -1 for none.
  private var ends: [Int32] = [-1]
  private var firstBytes = [Bool](repeating: false, count: 256)

  init() {}

  var isEmpty: Bool { tokens.isEmpty }

  /// Adds a token under the form in which it is looked for; a form that is already there stays with the first.
  mutating func insert(_ token: AddedToken, form: [UInt8]) {
    guard let first = form.first else { return }
    firstBytes[Int(first)] = true
    var node = 0
    for byte in form {
      let edge = UInt64(node) << 8 | UInt64(byte)
      if let next = edges[edge] {
        node = Int(next)
      } else {
        edges[edge] = Int32(ends.count)
        node = ends.count
        ends.append(-1)
      }
    }
    guard ends[node] < 0 else { return }
    ends[node] = Int32(tokens.count)
    tokens.append(token)
  }

  /// - Parameters:
  ///   - text: valid UTF-8.
  ///   - findsSpecial: whether special tokens are looked for.
  func parts(_ text: [UInt8], findsSpecial: Bool) -> [Part] {
    if tokens.isEmpty { return [.text(0..<text.count)] }
    var parts: [Part] = []
    var textStart = 0
    var position = 0
    while position < text.count {
      guard firstBytes[Int(text[position])], let (token, end) = longest(text, position) else {
        position += 1
        continue
      }
      let start = position
      position = end
      if token.isSpecial && !findsSpecial || token.isSingleWord && !Self.isSingleWord(text, start..<end) { continue }
      // Swallowed white space of the token before may reach into this one's place.
      var left = max(start, textStart)
      if token.stripsLeft { left = max(Self.whiteSpaceStart(text, before: start), textStart) }
      if textStart < left { parts.append(.text(textStart..<left)) }
      parts.append(.token(token.id))
      textStart = token.stripsRight ? Self.whiteSpaceEnd(text, from: end) : end
    }
    if textStart < text.count { parts.append(.text(textStart..<text.count)) }
    return parts
  }

  private func longest(_ text: [UInt8], _ start: Int) -> (AddedToken, end: Int)? {
    var found: (AddedToken, end: Int)?
    var node: Int32 = 0
    var position = start
    while position < text.count, let next = edges[UInt64(node) << 8 | UInt64(text[position])] {
      node = next
      position += 1
      if ends[Int(node)] >= 0 { found = (tokens[Int(ends[Int(node)])], position) }
    }
    return found
  }

  private static func isSingleWord(_ text: [UInt8], _ range: Range<Int>) -> Bool {
    let before = String(decoding: text[max(0, range.lowerBound - 4)..<range.lowerBound], as: UTF8.self).unicodeScalars
      .last
    let after = String(decoding: text[range.upperBound..<min(text.count, range.upperBound + 4)], as: UTF8.self)
      .unicodeScalars.first
    return !(before.map(isWordCharacter) ?? false) && !(after.map(isWordCharacter) ?? false)
  }

  private static func isWordCharacter(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .decimalNumber, .connectorPunctuation, .nonspacingMark, .spacingMark, .enclosingMark: return true
    default: return properties.isAlphabetic || properties.isJoinControl
    }
  }

  private static func whiteSpaceStart(_ text: [UInt8], before end: Int) -> Int {
    var start = end
    while start > 0 {
      var lead = start - 1
      while lead > 0, text[lead] & 0xC0 == 0x80 { lead -= 1 }
      guard isWhiteSpace(text[lead..<start]) else { break }
      start = lead
    }
    return start
  }

  private static func whiteSpaceEnd(_ text: [UInt8], from start: Int) -> Int {
    var end = start
    while end < text.count {
      var next = end + 1
      while next < text.count, text[next] & 0xC0 == 0x80 { next += 1 }
      guard isWhiteSpace(text[end..<next]) else { break }
      end = next
    }
    return end
  }

  private static func isWhiteSpace(_ character: ArraySlice<UInt8>) -> Bool {
    String(decoding: character, as: UTF8.self).unicodeScalars.first?.properties.isWhitespace ?? false
  }
}
