/// What is wrong with something the user gave: a file, a flag, a key of a sweep, a shape.
///
/// Every such error ends the command with exit status 2 and prints one clear line. It is the one error type of all
/// modules
/// that read input, so that a message always names the thing, what was expected, what was found, and the next step.
package struct InputError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The thing that is wrong, named so that the user finds it: `model.safetensors: tensor "lm_head.weight"`,
  /// `sweep.yaml:12: layers`.
  package var subject: String
  /// What would have been right.
  package var expected: String
  /// What was there instead.
  package var found: String
  /// What to do about it; empty where it follows from `expected`.
  package var remedy: String

  package init(_ subject: String, expected: String, found: String, remedy: String = "") {
    self.subject = subject
    self.expected = expected
    self.found = found
    self.remedy = remedy
  }

  /// One line: `subject: expected ..., found ...; remedy`, with control characters of untrusted input made visible.
  package var description: String {
    let line = "\(subject): expected \(expected), found \(found)" + (remedy.isEmpty ? "" : "; \(remedy)")
    return String(
      String.UnicodeScalarView(line.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
  }
}
