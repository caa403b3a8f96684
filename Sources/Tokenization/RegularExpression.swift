internal import CPCRE2
internal import Diagnostics

/// A compiled pattern (PCRE2, 8 bit, UTF and Unicode properties; machine code where this PCRE2 can make it).
///
/// `@unchecked Sendable` because `code` is a C pointer: it is set once, in `init`, after compilation and just-in-time
/// compilation have ended; PCRE2 only reads compiled code while it matches (pcre2api, "Multithreading"). All that a match
/// writes to lives in a `Search`, which can't be copied and belongs to one call.
final class RegularExpression: @unchecked Sendable {
  private let code: OpaquePointer
  /// Where the pattern came from, for errors while matching.
  let subject: String

  /// - Parameters:
  ///   - pattern: in the syntax of Oniguruma, which `tokenizer.json` is written in (see `OnigurumaPattern`).
  ///   - subject: the file and key that the pattern comes from.
  init(oniguruma pattern: String, subject: String) throws(InputError) {
    let translated = Array(try OnigurumaPattern.translate(pattern, subject: subject).utf8)
    let context = pcre2_compile_context_create_8(nil)
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    pcre2_set_max_pattern_length_8(context, 1 << 16)
    var errorNumber: Int32 = 0
    var errorOffset = 0
    let options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY
    guard let code = pcre2_compile_8(translated, translated.count, options, &errorNumber, &errorOffset, context) else {
      throw InputError(
        subject, expected: "a regular expression",
        found: "\"\(pattern)\": \(Self.message(errorNumber)) (at \(errorOffset) of its translation)")
    }
    // A PCRE2 without just-in-time compilation interprets the pattern: slower, the same matches.
    _ = pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
    self.code = code
    self.subject = subject
  }

  deinit { pcre2_code_free_8(code) }

  private static func message(_ number: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(number, &buffer, buffer.count)
    return length < 0 ? "PCRE2 error \(number)" : String(decoding: buffer.prefix(Int(length)), as: UTF8.self)
  }

  /// Everything that a run of matches writes to: match data, limits and the stack of the compiled code.
  struct Search: ~Copyable {
    fileprivate let expression: RegularExpression
    fileprivate let data: OpaquePointer
    fileprivate let context: OpaquePointer
    fileprivate let stack: OpaquePointer?

    deinit {
      pcre2_match_data_free_8(data)
      pcre2_match_context_free_8(context)
      pcre2_jit_stack_free_8(stack)
    }
  }

  /// Starts a run of matches; `longest` is the greatest number of bytes that one of its texts has.
  ///
  /// The work of one attempt is limited in proportion to `longest`, so that a hostile pattern ends in an error: the patterns
  /// of tokenizers look at each byte of a run a few times.
  func search(longest: Int) throws(InputError) -> Search {
    guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
      throw InputError(subject, expected: "memory for a match", found: "none left")
    }
    // Short texts do with the 32 KiB that compiled code uses by itself.
    let stack = longest <= 1024 ? nil : pcre2_jit_stack_create_8(32 << 10, 4 << 20, nil)
    if stack != nil { pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack)) }
    pcre2_set_match_limit_8(
      context, UInt32(clamping: 100_000 + longest.multipliedReportingOverflow(by: 8).partialValue))
    pcre2_set_heap_limit_8(context, 64 << 10)
    return Search(expression: self, data: data, context: context, stack: stack)
  }
}

extension RegularExpression.Search {
  /// The first match at or after `start` (absolute, like the result) in `bytes[text]`, which must be valid UTF-8; nothing
  /// outside of `text` is seen, not by look-behind either.
  borrowing func firstMatch(in bytes: [UInt8], _ text: Range<Int>, from start: Int) throws(InputError) -> Range<Int>? {
    let code = expression.code
    let status = bytes.withUnsafeBufferPointer { buffer -> Int32 in
      // An empty array may have no address; PCRE2 then takes a null pointer of length 0.
      let address = buffer.baseAddress.map { $0 + text.lowerBound }
      return pcre2_match_8(code, address, text.count, start - text.lowerBound, PCRE2_NO_UTF_CHECK, data, context)
    }
    if status == PCRE2_ERROR_NOMATCH { return nil }
    guard status >= 0, let ends = pcre2_get_ovector_pointer_8(data), ends[0] <= ends[1], ends[1] <= text.count else {
      throw InputError(
        expression.subject, expected: "a pattern that decides within a bounded number of steps",
        found: RegularExpression.message(status))
    }
    return (text.lowerBound + ends[0])..<(text.lowerBound + ends[1])
  }

  /// Appends all matches in `bytes[text]` from left to right. After an empty match the search goes on one character later, and
  /// an empty match right behind another match doesn't count: what Oniguruma's iterator does.
  borrowing func appendMatches(in bytes: [UInt8], _ text: Range<Int>, to matches: inout [Range<Int>]) throws(InputError)
  {
    var position = text.lowerBound
    var lastEnd = -1
    while position <= text.upperBound, let match = try firstMatch(in: bytes, text, from: position) {
      position = match.upperBound
      if match.isEmpty {
        position += 1
        while position < text.upperBound, bytes[position] & 0xC0 == 0x80 { position += 1 }
        if match.lowerBound == lastEnd { continue }
      }
      lastEnd = match.upperBound
      matches.append(match)
    }
  }
}
