internal import Diagnostics

extension TokenizerFile {
  /// The kinds of a member of the pipeline, each named by its `type`; `Sequence` is flattened.
  private static func flatten(_ entry: JSONCursor, list: String) throws(InputError) -> [JSONCursor] {
    guard try entry.required("type").string() == "Sequence" else { return [entry] }
    var result: [JSONCursor] = []
    for element in try entry.required(list).elements() { result += try flatten(element, list: list) }
    return result
  }

  static func normalization(_ entry: JSONCursor) throws(InputError) -> [NormalizationStep] {
    try flatten(entry, list: "normalizers").map { (entry) throws(InputError) in
      let type = try entry.required("type")
      switch try type.string() {
      case "NFC": return .canonicalComposition
      case "NFD": return .canonicalDecomposition
      case "NFKC": return .compatibilityComposition
      case "NFKD": return .compatibilityDecomposition
      case "Prepend": return .prepend(try entry.required("prepend").bytes())
      case "Replace":
        let content = try entry.required("content").bytes()
        switch try matcher(try entry.required("pattern")) {
        case .text(let text): return .replaceText(text, with: content)
        case .pattern(let expression): return .replacePattern(expression, with: content)
        }
      default: throw type.error(expected: "a normalizer of the types NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence")
      }
    }
  }

  /// `{"String": "..."}` or `{"Regex": "..."}`.
  static func matcher(_ pattern: JSONCursor) throws(InputError) -> WordSplitter.Matcher {
    if let text = try pattern.optional("String") { return .text(try text.bytes()) }
    let regex = try pattern.required("Regex")
    return .pattern(try RegularExpression(oniguruma: try regex.string(), subject: regex.subject))
  }

  static func decoderSteps(_ entry: JSONCursor) throws(InputError) -> [Decoder.Step] {
    var steps: [Decoder.Step] = []
    for entry in try flatten(entry, list: "decoders") {
      let type = try entry.required("type")
      switch try type.string() {
      case "ByteLevel": steps.append(.byteLevel)
      case "ByteFallback": steps.append(.byteFallback)
      case "Fuse": break  // Pieces are joined at the end anyway.
      case "Replace":
        guard case .text(let text) = try matcher(try entry.required("pattern")) else {
          throw try entry.required("pattern").error(expected: "a pattern of the kind String")
        }
        steps.append(.replace(text, with: try entry.required("content").bytes()))
      case "Strip":
        let counts = (try entry.required("start"), try entry.required("stop"))
        let (start, end) = (try counts.0.integer(), try counts.1.integer())
        guard (0...1024).contains(start), (0...1024).contains(end) else { throw counts.0.error(expected: "0 to 1024") }
        steps.append(.strip(try entry.required("content").bytes(), start: start, end: end))
      case "Metaspace":
        let mark = try entry.optional("replacement")?.bytes() ?? Array("\u{2581}".utf8)
        steps.append(.replace(mark, with: [0x20]))
        let prefix = try metaspacePrefix(entry)
        if prefix != .never { steps.append(.removePrefixSpace(afterAdded: prefix == .always)) }
      default:
        throw type.error(
          expected: "a decoder of the types ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, Sequence")
      }
    }
    return steps
  }

  static func metaspacePrefix(_ entry: JSONCursor) throws(InputError) -> WordSplitter.MetaspacePrefix {
    guard let scheme = try entry.optional("prepend_scheme") else {
      return try entry.flag("add_prefix_space", default: true) ? .always : .never
    }
    switch try scheme.string() {
    case "always": return .always
    case "first": return .first
    case "never": return .never
    default: throw scheme.error(expected: "always, first or never")
    }
  }

  /// Gathers the steps of a pre-tokeniser.
  struct SplitterReader {
    var steps: [WordSplitter.Step] = []
    /// The words are to be encoded as bytes.
    var isByteLevel = false

    mutating func read(_ entry: JSONCursor) throws(InputError) {
      for entry in try TokenizerFile.flatten(entry, list: "pretokenizers") {
        let type = try entry.required("type")
        if isByteLevel {
          throw type.error(
            expected: "nothing after a ByteLevel pre-tokenizer, whose output is no text any more",
            remedy: "put ByteLevel last")
        }
        switch try type.string() {
        case "ByteLevel":
          isByteLevel = true
          if try entry.flag("add_prefix_space", default: true) { steps.append(.prependSpace) }
          if try entry.flag("use_regex", default: true) { try isolate(GGUFPreTokenizer.gpt2, entry) }
        case "Split":
          let behavior = try entry.required("behavior")
          guard let known = WordSplitter.SplitBehavior(rawValue: try behavior.string()) else {
            throw behavior.error(expected: "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous")
          }
          let matcher = try TokenizerFile.matcher(try entry.required("pattern"))
          steps.append(.split(matcher, known, inverted: try entry.flag("invert")))
        case "Digits":
          try isolate(try entry.flag("individual_digits") ? #"\p{N}"# : #"\p{N}+"#, entry)
        case "Metaspace":
          let mark = try entry.optional("replacement")?.bytes() ?? Array("\u{2581}".utf8)
          let prefix = try TokenizerFile.metaspacePrefix(entry)
          steps.append(.metaspace(mark: mark, prepends: prefix, splits: try entry.flag("split", default: true)))
        case "WhitespaceSplit":
          steps.append(
            .split(
              .pattern(try RegularExpression(oniguruma: #"\s"#, subject: entry.subject)), .removed, inverted: false))
        case "Whitespace":
          let words =
            #"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\s]+"#
          steps.append(
            .split(.pattern(try RegularExpression(oniguruma: words, subject: entry.subject)), .removed, inverted: true))
        default:
          throw type.error(
            expected:
              "a pre-tokenizer of the types ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Sequence")
        }
      }
    }

    private mutating func isolate(_ pattern: String, _ entry: JSONCursor) throws(InputError) {
      let expression = try RegularExpression(oniguruma: pattern, subject: entry.subject)
      steps.append(.split(.pattern(expression), .isolated, inverted: false))
    }
  }
}
