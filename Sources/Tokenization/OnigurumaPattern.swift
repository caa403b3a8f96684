internal import Diagnostics

/// Rewrites a pattern of Oniguruma's syntax, which `tokenizer.json` uses, into PCRE2's with the same matches.
///
/// The two agree on most of what tokenizers use. They differ in what `\s`, `\w`, `\d`, `\h`, `\b`, `^`, `$`, `{n,m}+` and `{,n}`
/// mean; those are rewritten. Everything that is neither known to be the same nor rewritten is refused, so that no pattern
/// silently matches something else.
struct OnigurumaPattern {
  private let scalars: [Unicode.Scalar]
  private let subject: String
  private let pattern: String
  private var position = 0
  private var output: [String] = []
  /// Where in `output` the last atom begins; nil where no quantifier may follow.
  private var atomStart: Int?
  private var openGroups: [(start: Int, isAtom: Bool)] = []

  static func translate(_ pattern: String, subject: String) throws(InputError) -> String {
    var translation = OnigurumaPattern(pattern, subject: subject)
    while translation.position < translation.scalars.count { try translation.step() }
    guard translation.openGroups.isEmpty else { throw translation.refusal("a closing bracket for each opening one") }
    return translation.output.joined()
  }

  private init(_ pattern: String, subject: String) {
    self.pattern = pattern
    self.subject = subject
    scalars = Array(pattern.unicodeScalars)
  }

  private func refusal(_ expected: String) -> InputError {
    InputError(subject, expected: expected, found: "\"\(pattern)\" (at character \(position))")
  }

  private func follows(_ text: String) -> Bool {
    scalars[position...].starts(with: text.unicodeScalars)
  }

  private mutating func emitAtom(_ text: String) {
    atomStart = output.count
    output.append(text)
  }

  /// Appends something of no width that takes no quantifier.
  private mutating func emitAssertion(_ text: String) {
    atomStart = nil
    output.append(text)
  }

  private mutating func step() throws(InputError) {
    let scalar = scalars[position]
    switch scalar {
    case "\\": try escape()
    case "[": try characterClass()
    case "(": try openGroup()
    case ")":
      guard let group = openGroups.popLast() else { throw refusal("an opening bracket before ')'") }
      output.append(")")
      atomStart = group.isAtom ? group.start : nil
      position += 1
    case "*", "+", "?": try quantifier(String(scalar), length: 1)
    case "{": try interval()
    case "^":
      emitAssertion("(?m:^)")
      position += 1
    case "$":
      emitAssertion("(?m:$)")
      position += 1
    case "|":
      emitAssertion("|")
      position += 1
    default:
      emitAtom(String(Character(scalar)))
      position += 1
    }
  }

  private mutating func openGroup() throws(InputError) {
    let start = output.count
    let look = ["(?=", "(?!", "(?<=", "(?<!"]
    if let opening = (["(?:", "(?>", "(?i:"] + look).first(where: { follows($0) }) {
      output.append(opening)
      openGroups.append((start, !look.contains(opening)))
      position += opening.count
    } else if position == 0, follows("(?i)") {
      output.append("(?i)")
      position += 4
    } else if follows("(?") || follows("(*") {
      throw refusal("groups of the kinds (?:...), (?>...), (?i:...), (?=...), (?!...), (?<=...), (?<!...) and (...)")
    } else {
      // Nothing refers to groups by number, so they need not be captured.
      output.append("(?:")
      openGroups.append((start, true))
      position += 1
    }
    atomStart = nil
  }

  private mutating func quantifier(_ text: String, length: Int) throws(InputError) {
    guard atomStart != nil else { throw refusal("something to repeat before '\(text)'") }
    output.append(text)
    position += length
    if position < scalars.count, scalars[position] == "?" || scalars[position] == "+" {
      output.append(String(Character(scalars[position])))
      position += 1
    }
    try refuseSecondQuantifier()
    atomStart = nil
  }

  private func refuseSecondQuantifier() throws(InputError) {
    if position < scalars.count, "*+?".unicodeScalars.contains(scalars[position]) {
      throw refusal("one quantifier after each thing to repeat")
    }
  }

  /// `{n}`, `{n,}`, `{n,m}`, `{,m}`; a brace that opens none of these is an ordinary character.
  private mutating func interval() throws(InputError) {
    var end = position + 1
    var parts = [""]
    while end < scalars.count, scalars[end] != "}" {
      if scalars[end] == "," { parts.append("") } else { parts[parts.count - 1].unicodeScalars.append(scalars[end]) }
      end += 1
    }
    let isNumber = { (text: String) in !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    guard end < scalars.count, parts.count <= 2, parts.contains(where: isNumber),
      parts.allSatisfy({ $0.isEmpty || isNumber($0) })
    else {
      emitAtom("\\{")
      position += 1
      return
    }
    guard let start = atomStart else { throw refusal("something to repeat before '{'") }
    let low = parts[0].isEmpty ? "0" : parts[0]
    output.append(parts.count == 1 ? "{\(low)}" : "{\(low),\(parts[1])}")
    position = end + 1
    if position < scalars.count, scalars[position] == "+" {
      // `+` after an interval repeats it here, where PCRE2 would read it as "possessive".
      output.insert("(?:", at: start)
      output.append(")+")
      position += 1
    } else if position < scalars.count, scalars[position] == "?" {
      guard parts.count == 2 else {
        throw refusal("no '?' after an exact count, which the two syntaxes read differently")
      }
      output.append("?")
      position += 1
    }
    try refuseSecondQuantifier()
    atomStart = nil
  }

  private static let wordClass = "\\p{L}\\p{M}\\p{N}\\p{Pc}"
  private static let hexadecimalClass = "0-9A-Fa-f"
  /// Properties that are neither general categories (one or two letters) nor scripts.
  private static let binaryProperties: Set<String> = [
    "any", "alphabetic", "whitespace", "joincontrol", "lowercase", "uppercase", "emoji", "ideographic", "math",
    "hexdigit",
  ]

  private mutating func escape() throws(InputError) {
    guard position + 1 < scalars.count else { throw refusal("a character after '\\'") }
    let word = "[\(Self.wordClass)]"
    switch scalars[position + 1] {
    case "w": emitAtom(word)
    case "W": emitAtom("[^\(Self.wordClass)]")
    case "h": emitAtom("[\(Self.hexadecimalClass)]")
    case "H": emitAtom("[^\(Self.hexadecimalClass)]")
    case "b":
      emitAssertion("(?:(?<=\(word))(?!\(word))|(?<!\(word))(?=\(word)))")
    case "B":
      emitAssertion("(?:(?<=\(word))(?=\(word))|(?<!\(word))(?!\(word)))")
    case "A", "z":
      emitAssertion("\\\(scalars[position + 1])")
    case "Z": emitAssertion("(?=\\n?\\z)")
    default:
      emitAtom(try classEscape())
      return
    }
    position += 2
  }

  /// An escape that means the same inside and outside of a class; leaves `position` behind it.
  private mutating func classEscape() throws(InputError) -> String {
    guard position + 1 < scalars.count else { throw refusal("a character after '\\'") }
    let scalar = scalars[position + 1]
    switch scalar {
    case "p", "P", "x", "u": return try bracedEscape(scalar)
    default: break
    }
    position += 2
    switch scalar {
    case "s": return "\\p{White_Space}"
    case "S": return "\\P{White_Space}"
    case "d": return "\\p{Nd}"
    case "D": return "\\P{Nd}"
    case "t", "n", "r", "f", "a", "e": return "\\\(scalar)"
    case "v": return "\\x{0B}"
    default:
      // Digits (back references), and letters whose meaning differs.
      if scalar.isASCII, scalar.properties.isAlphabetic || scalar.properties.numericType != nil {
        throw refusal(
          "one of the escapes \\s \\S \\w \\W \\d \\D \\h \\H \\b \\B \\p \\P \\t \\n \\r \\f \\v \\a \\e \\x \\u \\A \\z \\Z"
        )
      }
      return scalar.isASCII ? "\\\(scalar)" : String(Character(scalar))
    }
  }

  /// `\p{Name}`, `\p{^Name}`, `\P{Name}`, `\x{...}`, `\xHH` below 0x80, `\uHHHH`.
  private mutating func bracedEscape(_ letter: Unicode.Scalar) throws(InputError) -> String {
    var start = position + 2
    let end: Int
    let isBraced = start < scalars.count && scalars[start] == "{"
    if isBraced {
      start += 1
      guard let close = scalars[start...].firstIndex(of: "}") else { throw refusal("'}' after '\\\(letter){'") }
      end = close
      position = close + 1
    } else {
      let length = letter == "x" ? 2 : 4
      guard letter == "x" || letter == "u", start + length <= scalars.count else {
        throw refusal("'{' after '\\\(letter)'")
      }
      end = start + length
      position = end
    }
    let content = String(String.UnicodeScalarView(scalars[start..<end]))
    if letter == "p" || letter == "P" {
      guard !content.isEmpty,
        content.utf8.allSatisfy({ Unicode.Scalar($0).properties.isAlphabetic || "_ ^-".utf8.contains($0) })
      else { throw refusal("the name of a Unicode property") }
      let isNegated = content.hasPrefix("^")
      let name = isNegated ? String(content.dropFirst()) : content
      let plain = name.lowercased().filter { !"_ -".contains($0) }
      // A name alone would mean the script's extensions too.
      let isScript = plain.count > 2 && !Self.binaryProperties.contains(plain)
      return "\\\(letter){\(isNegated ? "^" : "")\(isScript ? "sc:" : "")\(name)}"
    }
    // Without braces `\x` is one byte, and from 0x80 on a part of a character.
    guard let number = UInt32(content, radix: 16), Unicode.Scalar(number) != nil,
      isBraced || letter == "u" || number < 0x80
    else { throw refusal("the hexadecimal number of a character") }
    return "\\x{\(String(number, radix: 16))}"
  }

  private mutating func characterClass() throws(InputError) {
    let start = output.count
    var text = "["
    position += 1
    if position < scalars.count, scalars[position] == "^" {
      text += "^"
      position += 1
    }
    guard position < scalars.count, scalars[position] != "]" else { throw refusal("a class that is not empty") }
    while position < scalars.count, scalars[position] != "]" {
      let scalar = scalars[position]
      if scalar == "[" || follows("&&") { throw refusal("a class without nested classes and intersections") }
      if scalar == "\\" {
        if follows("\\w") {
          text += Self.wordClass
          position += 2
        } else if follows("\\h") {
          text += Self.hexadecimalClass
          position += 2
        } else if follows("\\b") {
          text += "\\x{08}"
          position += 2
        } else {
          text += try classEscape()
        }
      } else {
        text.unicodeScalars.append(scalar)
        position += 1
      }
    }
    guard position < scalars.count else { throw refusal("']' at the end of a class") }
    position += 1
    output.append(text + "]")
    atomStart = start
  }
}
