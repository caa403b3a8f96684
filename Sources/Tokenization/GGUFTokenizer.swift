package import Diagnostics

/// What a GGUF file says of its tokenizer (`tokenizer.ggml.*`), as plain values, so that this module needs no GGUF reader.
package struct GGUFTokenizerMetadata: Sendable {
  /// What errors call the file.
  package var file: String
  /// `tokenizer.ggml.model`: `gpt2` (byte-level pairs) or `llama`, `gemma` (SentencePiece scores).
  package var model: String
  /// `tokenizer.ggml.pre`: the name of the pre-tokeniser; nil is taken as `default`.
  package var pre: String?
  /// `tokenizer.ggml.tokens`, by id.
  package var tokens: [String]
  /// `tokenizer.ggml.token_type`, by id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; empty: all normal.
  package var tokenTypes: [Int] = []
  /// `tokenizer.ggml.merges`, "left right" each.
  package var merges: [String] = []
  /// `tokenizer.ggml.scores`, by id.
  package var scores: [Float] = []
  /// `tokenizer.ggml.bos_token_id`.
  package var beginningOfText: Int?
  /// `tokenizer.ggml.eos_token_id`.
  package var endOfText: Int?
  /// `tokenizer.ggml.unknown_token_id`.
  package var unknown: Int?
  /// `tokenizer.ggml.add_bos_token`; nil: what is usual for the kind of tokenizer.
  package var addsBeginningOfText: Bool?
  /// `tokenizer.ggml.add_space_prefix`; nil: true with scores, false with pairs.
  package var addsSpacePrefix: Bool?
  /// `tokenizer.chat_template`.
  package var chatTemplate: String?

  package init(file: String, model: String, pre: String?, tokens: [String]) {
    self.file = file
    self.model = model
    self.pre = pre
    self.tokens = tokens
  }
}

extension Tokenizer {
  /// The tokenizer that a GGUF file describes.
  ///
  /// - Throws: `InputError` naming file and key: a kind of tokenizer or pre-tokeniser that isn't known, lists of different
  ///   lengths, a token twice, a merge of tokens that aren't there, an id out of range, a score that is no number.
  package init(gguf metadata: GGUFTokenizerMetadata) throws(InputError) {
    try metadata.checkLists()
    var vocabulary = Vocabulary(capacity: metadata.tokens.count)
    for (id, token) in metadata.tokens.enumerated() {
      if let problem = vocabulary.insert(Array(token.utf8), id: id, limit: metadata.tokens.count) {
        throw InputError(
          "\(metadata.key("tokens"))[\(id)]", expected: "a token of its own", found: "\"\(token)\": \(problem)")
      }
    }
    var parts: Parts
    switch metadata.model {
    case "gpt2": parts = try metadata.bytePairs(vocabulary)
    case "llama", "gemma": parts = try metadata.scoredPieces(vocabulary)
    default:
      throw InputError(
        metadata.key("model"), expected: "gpt2, llama or gemma", found: metadata.model,
        remedy: "use the model's Hugging Face directory if it has a byte-pair tokenizer.json")
    }
    parts.added = metadata.addedTokens()
    parts.beginningOfText = metadata.beginningOfText
    parts.endOfText = metadata.endOfText
    parts.chatTemplate = metadata.chatTemplate
    try self.init(parts)
  }
}

extension GGUFTokenizerMetadata {
  private static let (unknownType, controlType, userDefinedType, byteType) = (2, 3, 4, 6)

  fileprivate func key(_ name: String) -> String { "\(file): tokenizer.ggml.\(name)" }

  private func type(_ id: Int) -> Int { tokenTypes.isEmpty ? 1 : tokenTypes[id] }

  fileprivate func checkLists() throws(InputError) {
    guard !tokens.isEmpty, tokens.count < 1 << 26 else {
      throw InputError(key("tokens"), expected: "1 to 2^26 tokens", found: "\(tokens.count)")
    }
    guard tokenTypes.isEmpty || tokenTypes.count == tokens.count else {
      throw InputError(
        key("token_type"), expected: "one for each of \(tokens.count) tokens", found: "\(tokenTypes.count)")
    }
    let ids = [("bos_token_id", beginningOfText), ("eos_token_id", endOfText), ("unknown_token_id", unknown)]
    for case (let name, let id?) in ids where !tokens.indices.contains(id) {
      throw InputError(key(name), expected: "an id in 0..<\(tokens.count)", found: "\(id)")
    }
  }

  /// Tokens that are recognised in the text before anything else.
  fileprivate func addedTokens() -> [AddedToken] {
    tokens.indices.compactMap { id in
      let type = type(id)
      guard [Self.unknownType, Self.controlType, Self.userDefinedType].contains(type), !tokens[id].isEmpty else {
        return nil
      }
      return AddedToken(id: id, content: Array(tokens[id].utf8), isSpecial: type != Self.userDefinedType)
    }
  }

  fileprivate func bytePairs(_ vocabulary: Vocabulary) throws(InputError) -> Tokenizer.Parts {
    let pre = try GGUFPreTokenizer(named: pre ?? "default", key: key("pre"))
    var pairs: [UInt64: BytePairModel.Merge] = [:]
    pairs.reserveCapacity(merges.count)
    for (rank, merge) in merges.enumerated() {
      let bytes = Array(merge.utf8)
      // The left part may itself be a space in odd vocabularies, so the first place to cut is 1.
      guard let space = bytes.dropFirst().firstIndex(of: 0x20), space + 1 < bytes.count,
        let left = vocabulary.id(Array(bytes[..<space])), let right = vocabulary.id(Array(bytes[(space + 1)...])),
        let merged = vocabulary.id(Array(bytes[..<space] + bytes[(space + 1)...]))
      else {
        throw InputError(
          "\(key("merges"))[\(rank)]", expected: "two tokens of the vocabulary whose concatenation is one too",
          found: "\"\(merge)\"")
      }
      let pair = UInt64(left) << 32 | UInt64(right)
      if pairs[pair] == nil { pairs[pair] = BytePairModel.Merge(rank: UInt32(rank), id: merged) }
    }
    guard !pairs.isEmpty else {
      throw InputError(
        key("merges"), expected: "the merges of a gpt2 tokenizer", found: "none", remedy: "convert the model again")
    }
    let bytes = ByteAlphabet.characters.map { vocabulary.id($0) ?? -1 }
    var model = BytePairModel(vocabulary: vocabulary, rule: .pairs(pairs), alphabet: .bytes(bytes))
    model.takesWholeWords = pre.takesWholeWords
    var parts = Tokenizer.Parts(model: model)
    parts.splitter.steps = pre.steps
    if addsSpacePrefix ?? false { parts.splitter.steps.insert(.prependSpace, at: 0) }
    parts.decoder.steps = [.byteLevel]
    if addsSpacePrefix ?? false { parts.decoder.steps.append(.removePrefixSpace(afterAdded: true)) }
    parts.wantsBeginningOfText = addsBeginningOfText ?? pre.addsBeginningOfText
    return parts
  }

  fileprivate func scoredPieces(_ vocabulary: Vocabulary) throws(InputError) -> Tokenizer.Parts {
    guard scores.count == tokens.count else {
      throw InputError(key("scores"), expected: "one for each of \(tokens.count) tokens", found: "\(scores.count)")
    }
    if let id = scores.firstIndex(where: \.isNaN) {
      throw InputError("\(key("scores"))[\(id)]", expected: "a number", found: "NaN")
    }
    var characters: [Unicode.Scalar: Int32] = [:]
    var byteTokens = [Int32](repeating: -1, count: 256)
    var ranks = Self.ranks(scores)
    var longest = 0
    for (id, piece) in vocabulary.pieces.enumerated() {
      switch type(id) {
      case Self.byteType:
        ranks[id] = .max
        if let byte = Decoder.byte(ofPiece: piece) { byteTokens[Int(byte)] = Int32(id) }
      case Self.controlType, Self.unknownType:
        ranks[id] = .max
      default:
        longest = max(longest, piece.count)
        let scalars = String(decoding: piece, as: UTF8.self).unicodeScalars
        if let scalar = scalars.first, scalars.count == 1 { characters[scalar] = vocabulary.id(piece) }
      }
    }
    let rule = BytePairModel.Rule.scores(ranks: ranks, longestPiece: longest)
    var model = BytePairModel(vocabulary: vocabulary, rule: rule, alphabet: .characters(characters))
    model.byteTokens = byteTokens
    model.unknown = unknown.map(Int32.init)
    let addsSpace = addsSpacePrefix ?? true
    var parts = Tokenizer.Parts(model: model)
    let mark = Array("\u{2581}".utf8)
    if addsSpace { parts.normalization.append(.prepend([0x20])) }
    parts.normalization.append(.replaceText([0x20], with: mark))
    parts.decoder.steps = [.replace(mark, with: [0x20]), .byteFallback]
    if addsSpace { parts.decoder.steps.append(.removePrefixSpace(afterAdded: true)) }
    parts.wantsBeginningOfText = addsBeginningOfText ?? true
    return parts
  }

  /// The place of each score among all different scores, the highest first.
  private static func ranks(_ scores: [Float]) -> [UInt32] {
    let order = scores.indices.sorted { scores[$0] > scores[$1] }
    var ranks = [UInt32](repeating: 0, count: scores.count)
    var rank: UInt32 = 0
    for (place, id) in order.enumerated() {
      if place > 0, scores[order[place - 1]] != scores[id] { rank += 1 }
      ranks[id] = rank
    }
    return ranks
  }
}

/// The pre-tokenisers that GGUF files name, as llama.cpp defines them.
struct GGUFPreTokenizer {
  var steps: [WordSplitter.Step]
  /// A word that is a token is taken whole.
  var takesWholeWords: Bool
  /// What is usual where the file doesn't say.
  var addsBeginningOfText: Bool

  static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  private static let gpt4 =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let qwen =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
  private static let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
  private static let tekken =
    #"[^\r\n\p{L}\p{N}]?\#(upper)*\#(lower)+|[^\r\n\p{L}\p{N}]?\#(upper)+\#(lower)*"#
    + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// Names, patterns (applied one after the other, matches and what is between them both becoming words), takes whole words.
  private static let known: [(names: [String], patterns: [String], takesWholeWords: Bool)] = [
    (["default"], [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"], false),
    (["gpt-2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe", "gigachat", "trillion"], [gpt2], false),
    (["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"], [#"\p{N}"#, gpt2], false),
    (["llama-bpe", "llama3", "llama-v3", "falcon3"], [gpt4], true),
    (["dbrx", "smaug-bpe", "chatglm-bpe"], [gpt4], false),
    (["qwen2", "stablelm2", "deepseek-r1-qwen"], [qwen], false),
    (["falcon"], [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, "[0-9][0-9][0-9]"], false),
    (["tekken"], [tekken], true),
  ]

  init(named name: String, key: String) throws(InputError) {
    guard let entry = Self.known.first(where: { $0.names.contains(name) }) else {
      throw InputError(
        key, expected: "one of \(Self.known.flatMap(\.names).sorted().joined(separator: ", "))", found: name,
        remedy: "use the model's Hugging Face directory, whose tokenizer.json spells the pre-tokeniser out")
    }
    steps = []
    for pattern in entry.patterns {
      steps.append(
        .split(.pattern(try RegularExpression(oniguruma: pattern, subject: key)), .isolated, inverted: false))
    }
    takesWholeWords = entry.takesWholeWords
    addsBeginningOfText = entry.takesWholeWords
  }
}
