/// Finds anchors and aliases before a parser expands them.
enum AliasScan {
  /// The line of the first `&anchor` or `*alias` that stands where YAML may have a value begin; nil without any.
  ///
  /// Knows nothing of quotes and comments, so that no trick with them hides an alias: `", *b"` counts as well. O(n).
  static func line(in text: String) -> Int? {
    let bytes = Array(text.utf8)
    var line = 1
    // Whether a value may begin here: at a line's start, after an indicator, and after spaces there.
    var beginsValue = true
    for (index, byte) in bytes.enumerated() {
      switch Character(Unicode.Scalar(byte)) {
      case " ", "\t": continue
      case "\n":
        line += 1
        beginsValue = true
      case "*", "&":
        if beginsValue, index + 1 < bytes.count, isNameByte(bytes[index + 1]) { return line }
        beginsValue = false
      case "-", ":", ",", "[", "{", "?", "\r": beginsValue = true
      // Unicode has line breaks of its own.
      default: beginsValue = byte >= 0x80
      }
    }
    return nil
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    let character = Character(Unicode.Scalar(byte))
    return character.isASCII && (character.isLetter || character.isNumber || character == "_" || character == "-")
  }
}
