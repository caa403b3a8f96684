/// How many columns of a terminal a text takes.
package enum DisplayWidth {
  /// Two for wide characters (East Asian, emoji), none for marks that sit on others. O(n).
  static func of(_ text: some StringProtocol) -> Int { text.reduce(0) { $0 + of($1) } }

  /// The columns of one character: those of its widest scalar; the emoji selector makes it wide.
  static func of(_ character: Character) -> Int {
    if let ascii = character.asciiValue { return ascii < 0x20 || ascii == 0x7F ? 0 : 1 }
    var columns = 0
    for scalar in character.unicodeScalars {
      if scalar.value == 0xFE0F { columns = max(columns, 2) }
      switch scalar.properties.generalCategory {
      case .nonspacingMark, .enclosingMark, .format, .control: continue
      default: columns = max(columns, wide.contains { $0.contains(scalar.value) } ? 2 : 1)
      }
    }
    return columns
  }

  /// Blocks whose characters are two columns wide (Unicode Standard Annex 11, W and F), coarsely.
  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115F, 0x231A...0x231B, 0x23E9...0x23EC, 0x25FD...0x25FE, 0x2614...0x2615, 0x26AA...0x26AB,
    0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF, 0xA960...0xA97F,
    0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F,
    0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x1FA70...0x1FAFF, 0x20000...0x3FFFD,
  ]

  /// The text cut to `width` columns, its end marked by an ellipsis where something is missing.
  package static func cut(_ text: String, to width: Int) -> String {
    guard of(text) > width else { return text }
    guard width > 0 else { return "" }
    var kept = ""
    var used = 0
    for character in text {
      let columns = of(character)
      if used + columns > width - 1 { break }
      kept.append(character)
      used += columns
    }
    return kept + "…"
  }

  /// The text filled up with spaces to `width` columns.
  static func padded(_ text: String, to width: Int, right: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - of(text)))
    return right ? space + text : text + space
  }
}

/// The text with control characters and bidirectional overrides made harmless, for terminals and pages.
func visible(_ text: String) -> String {
  String(
    String.UnicodeScalarView(
      text.unicodeScalars.map { scalar in
        let isOverride = (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
        return isOverride || scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar
      }))
}
