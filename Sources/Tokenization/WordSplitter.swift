internal import Diagnostics

/// Cuts a normalised text into the words that byte-pair encoding works in: the pre-tokeniser.
struct WordSplitter: Sendable {
  enum Step: Sendable {
    case split(Matcher, SplitBehavior, inverted: Bool)
    /// Puts a space before each word that has none.
    case prependSpace
    /// SentencePiece's: spaces become `mark`, a word without one in front gets one, and each mark begins a word.
    case metaspace(mark: [UInt8], prepends: MetaspacePrefix, splits: Bool)
  }

  enum Matcher: Sendable {
    case text([UInt8])
    case pattern(RegularExpression)
  }

  /// Where the mark of `Step.metaspace` is put in front.
  enum MetaspacePrefix: Sendable { case always, first, never }

  /// What becomes of the matches of a split, as Hugging Face names it.
  enum SplitBehavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
  }

  /// A text and the ranges of its words.
  struct Words {
    var bytes: [UInt8]
    var ranges: [Range<Int>]
  }

  var steps: [Step]

  /// - Parameters:
  ///   - text: valid UTF-8, not empty.
  ///   - isFirst: the text is at the very beginning of the input.
  func words(_ text: [UInt8], isFirst: Bool) throws(InputError) -> Words {
    var words = Words(bytes: text, ranges: [0..<text.count])
    for step in steps {
      switch step {
      case .split(let matcher, let behavior, let inverted):
        words.ranges = try Self.split(words, matcher, behavior, inverted: inverted)
      case .prependSpace:
        words = Self.rebuild(words) { word in (word.first == 0x20 ? [] : [0x20]) + word }
      case .metaspace(let mark, let prefix, let splits):
        let markFirst = isFirst
        words = Self.rebuild(words) { word, index in
          let marked = Self.replaceSpaces(word, mark)
          let wanted = prefix == .always || prefix == .first && markFirst && index == 0
          return wanted && !marked.starts(with: mark) ? mark + marked : marked
        }
        if splits { words.ranges = try Self.split(words, .text(mark), .mergedWithNext, inverted: false) }
      }
    }
    return words
  }

  private static func replaceSpaces(_ word: ArraySlice<UInt8>, _ mark: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(word.count)
    for byte in word {
      if byte == 0x20 { result.append(contentsOf: mark) } else { result.append(byte) }
    }
    return result
  }

  private static func rebuild(_ words: Words, _ change: (ArraySlice<UInt8>) -> [UInt8]) -> Words {
    rebuild(words) { word, _ in change(word) }
  }

  private static func rebuild(_ words: Words, _ change: (ArraySlice<UInt8>, Int) -> [UInt8]) -> Words {
    var result = Words(bytes: [], ranges: [])
    result.bytes.reserveCapacity(words.bytes.count + words.ranges.count)
    for (index, range) in words.ranges.enumerated() {
      let start = result.bytes.count
      result.bytes.append(contentsOf: change(words.bytes[range], index))
      result.ranges.append(start..<result.bytes.count)
    }
    return result
  }

  private static func split(
    _ words: Words, _ matcher: Matcher, _ behavior: SplitBehavior, inverted: Bool
  ) throws(InputError) -> [Range<Int>] {
    var result: [Range<Int>] = []
    result.reserveCapacity(words.ranges.count)
    switch matcher {
    case .text(let needle):
      for word in words.ranges {
        cut(word, at: ByteSearch.ranges(of: needle, in: words.bytes, word), behavior, inverted: inverted, into: &result)
      }
    case .pattern(let expression):
      let search = try expression.search(longest: words.ranges.reduce(0) { max($0, $1.count) })
      var matches: [Range<Int>] = []
      for word in words.ranges {
        matches.removeAll(keepingCapacity: true)
        try search.appendMatches(in: words.bytes, word, to: &matches)
        cut(word, at: matches, behavior, inverted: inverted, into: &result)
      }
    }
    return result
  }

  /// Appends the parts of one word, given the matches in it; empty parts are left out at the end, not before: an empty match
  /// still parts what is on its two sides.
  private static func cut(
    _ word: Range<Int>, at matches: [Range<Int>], _ behavior: SplitBehavior, inverted: Bool,
    into result: inout [Range<Int>]
  ) {
    var spans: [(range: Range<Int>, isMatch: Bool)] = []
    spans.reserveCapacity(2 * matches.count + 1)
    var position = word.lowerBound
    for match in matches {
      if position < match.lowerBound { spans.append((position..<match.lowerBound, inverted)) }
      spans.append((match, !inverted))
      position = match.upperBound
    }
    if position < word.upperBound { spans.append((position..<word.upperBound, inverted)) }
    let parts: [Range<Int>]
    switch behavior {
    case .isolated: parts = spans.map(\.range)
    case .removed: parts = spans.lazy.filter { !$0.isMatch }.map(\.range)
    case .contiguous: parts = merge(spans) { $0 == $1 }
    case .mergedWithPrevious: parts = merge(spans) { !$0 && $1 }
    case .mergedWithNext: parts = mergeWithNext(spans)
    }
    for part in parts where !part.isEmpty { result.append(part) }
  }

  /// Joins a span to the one before it where `joins` says so of the two (is a match, is a match).
  private static func merge(_ spans: [(range: Range<Int>, isMatch: Bool)], _ joins: (Bool, Bool) -> Bool) -> [Range<
    Int
  >] {
    var parts: [Range<Int>] = []
    var previous: Bool?
    for span in spans {
      if let previous, let last = parts.last, joins(previous, span.isMatch) {
        parts[parts.count - 1] = last.lowerBound..<span.range.upperBound
      } else {
        parts.append(span.range)
      }
      previous = span.isMatch
    }
    return parts
  }

  /// From the right, so that of several matches in a row only the last joins what follows.
  private static func mergeWithNext(_ spans: [(range: Range<Int>, isMatch: Bool)]) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var nextIsMatch = true
    for span in spans.reversed() {
      if span.isMatch, !nextIsMatch, let last = parts.last {
        parts[parts.count - 1] = span.range.lowerBound..<last.upperBound
      } else {
        parts.append(span.range)
      }
      nextIsMatch = span.isMatch
    }
    return parts.reversed()
  }
}
