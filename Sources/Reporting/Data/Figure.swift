internal import Foundation

/// Numbers as people read them. ASCII throughout; `typographic` turns hyphens into minus signs.
enum Figure {
  /// A number to `digits` significant digits, without an exponent where that is readable; `-` stands for none.
  static func significant(_ value: Double?, _ digits: Int = 3) -> String {
    guard let value, value.isFinite else { return "-" }
    if value == 0 { return "0" }
    let exponent = Int(floor(log10(abs(value))))
    if exponent < -4 || exponent >= 7 { return String(format: "%.\(max(digits - 1, 0))e", value) }
    let text = String(format: "%.\(max(digits - 1 - exponent, 0))f", value)
    // Rounding may have lifted it by a digit: 9.996 is 10.0, not 10.00.
    let lifted = Double(text).map { $0 == 0 ? exponent : Int(floor(log10(abs($0)))) } ?? exponent
    return lifted == exponent ? text : String(format: "%.\(max(digits - 1 - lifted, 0))f", value)
  }

  /// A number with so many decimals.
  static func fixed(_ value: Double?, _ decimals: Int) -> String {
    guard let value, value.isFinite else { return "-" }
    let text = String(format: "%.\(decimals)f", value)
    return text.hasPrefix("-") && text.allSatisfy({ "-0.".contains($0) }) ? String(text.dropFirst()) : text
  }

  /// Decimals that show an error to one significant digit, two where that is a 1; at most 6.
  static func decimals(forError error: Double) -> Int {
    guard error.isFinite, error > 0 else { return 2 }
    let exponent = Int(floor(log10(error)))
    let leading = error / pow(10, Double(exponent))
    return min(max(-exponent + (leading < 1.95 ? 1 : 0), 0), 6)
  }

  /// A value with its standard error: `0.26 ± 0.05`.
  static func measured(_ value: Double?, error: Double?) -> String {
    guard let value, value.isFinite else { return "-" }
    guard let error, error.isFinite, error > 0 else { return significant(value) }
    let decimals = decimals(forError: error)
    return "\(fixed(value, decimals)) ± \(fixed(error, decimals))"
  }

  /// A share in percent: `15 %`; a decimal below 1 %.
  static func percent(_ share: Double?) -> String {
    guard let share, share.isFinite else { return "-" }
    let value = share * 100
    return fixed(value, abs(value) < 0.95 && abs(value) >= 0.05 ? 1 : 0) + " %"
  }

  /// A whole number with thousands set apart: `20,480`.
  static func count(_ value: Int?) -> String {
    guard let value else { return "-" }
    let digits = String(value.magnitude)
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return value < 0 ? "-" + text : text
  }

  /// A span of time: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`.
  static func duration(_ seconds: Double?) -> String {
    guard let seconds, seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "-" }
    if seconds < 9.95 { return fixed(seconds, 1) + " s" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min " + padded(whole % 60) + " s" }
    let minutes = Int((seconds / 60).rounded())
    if minutes < 48 * 60 { return "\(minutes / 60) h " + padded(minutes % 60) + " min" }
    let hours = Int((seconds / 3600).rounded())
    return "\(hours / 24) d \(hours % 24) h"
  }

  private static func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// A moment, UTC: `2026-11-23 04:44:31 UTC`.
  static func moment(_ seconds: Double?) -> String {
    guard let seconds, seconds.isFinite, abs(seconds) < 1e11 else { return "-" }
    let formatter = ISO8601DateFormatter()
    return formatter.string(from: Date(timeIntervalSince1970: seconds)).replacing("T", with: " ")
      .replacing("Z", with: " UTC")
  }

  /// Minus signs for hyphens that stand before a digit, no line breaks before percent signs; a lone hyphen becomes a dash.
  static func typographic(_ text: String) -> String {
    if text == "-" { return "–" }
    var result = ""
    var before: Character = " "
    let characters = Array(text)
    for (index, character) in characters.enumerated() {
      let next = index + 1 < characters.count ? characters[index + 1] : " "
      let isMinus = character == "-" && next.isNumber && (before == " " || before == "(" || before == "e")
      result.append(isMinus ? "\u{2212}" : character == " " && next == "%" ? "\u{A0}" : character)
      before = character
    }
    return result
  }
}

/// A list in words: `a`, `a and b`, `a, b and c`.
func enumeration(_ items: [String]) -> String {
  guard let last = items.last, items.count > 1 else { return items.first ?? "" }
  return items.dropLast().joined(separator: ", ") + " and " + last
}
