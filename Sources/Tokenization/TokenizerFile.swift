internal import Diagnostics

/// Reads Hugging Face's `tokenizer.json`: a byte-pair model and what surrounds it.
///
/// `truncation`, `padding` and `post_processor` are not applied: nothing is cut off and nothing is added that the caller doesn't
/// ask for. Everything else that would change ids and isn't known is an error that names file and key.
struct TokenizerFile {
  private let root: JSONCursor

  init(_ bytes: [UInt8], file: String) throws(InputError) {
    root = try JSONCursor(bytes, file: file)
  }

  func parts() throws(InputError) -> Tokenizer.Parts {
    let model = try root.required("model")
    if let type = try model.optional("type"), try type.string() != "BPE" {
      throw type.error(expected: "\"BPE\"", remedy: "tokenizers of other kinds are not supported")
    }
    let (steps, isByteLevel) = try splitterSteps()
    let added = try addedTokens()
    let vocabulary = try Self.vocabulary(model)
    try Self.check(added, against: vocabulary, root)
    var parts = Tokenizer.Parts(model: try Self.bytePairModel(model, vocabulary, isByteLevel: isByteLevel))
    parts.splitter.steps = steps
    parts.added = added
    if let normalizer = try root.optional("normalizer") { parts.normalization = try Self.normalization(normalizer) }
    if let decoder = try root.optional("decoder") {
      parts.decoder.steps = try Self.decoderSteps(decoder)
    } else if isByteLevel {
      parts.decoder.steps = [.byteLevel]
    }
    return parts
  }

  /// The name of the special token that the post-processor puts in front of a text, nil if it puts none there.
  func firstTemplateToken() throws(InputError) -> String? {
    guard let processor = try root.optional("post_processor") else { return nil }
    let all = try processor.optional("processors")?.elements() ?? [processor]
    for processor in all where try processor.optional("type")?.string() == "TemplateProcessing" {
      guard let first = try processor.optional("single")?.elements().first else { continue }
      return try first.optional("SpecialToken")?.optional("id")?.string()
    }
    return nil
  }

  private static func vocabulary(_ model: JSONCursor) throws(InputError) -> Vocabulary {
    let key = try model.required("vocab")
    let members = try key.members()
    guard !members.isEmpty else { throw key.error(expected: "tokens") }
    let limit = Vocabulary.greatestID(count: members.count)
    var vocabulary = Vocabulary(capacity: members.count)
    for (piece, value) in members {
      let problem: String?
      if case .integer(let id) = value {
        problem = vocabulary.insert(piece, id: id, limit: limit)
      } else {
        problem = value.kind
      }
      if let problem {
        throw key.error(expected: "a token's own id", found: "\(problem), for \(JSONValue.string(piece).kind)")
      }
    }
    return vocabulary
  }

  private func addedTokens() throws(InputError) -> [AddedToken] {
    var tokens: [AddedToken] = []
    for entry in try root.optional("added_tokens")?.elements() ?? [] {
      var token = AddedToken(id: try entry.required("id").integer(), content: try entry.required("content").bytes())
      token.isSingleWord = try entry.flag("single_word")
      token.stripsLeft = try entry.flag("lstrip")
      token.stripsRight = try entry.flag("rstrip")
      token.isSpecial = try entry.flag("special")
      token.isNormalized = try entry.flag("normalized", default: !token.isSpecial)
      guard token.content.count <= 4096 else {
        throw try entry.required("content").error(expected: "a token of at most 4096 bytes")
      }
      if !token.content.isEmpty { tokens.append(token) }
    }
    return tokens
  }

  /// Added tokens share the ids of the vocabulary: the same token with the same id, or a new one with a free id.
  private static func check(_ tokens: [AddedToken], against vocabulary: Vocabulary, _ root: JSONCursor)
    throws(InputError)
  {
    let limit = Vocabulary.greatestID(count: vocabulary.pieces.count + tokens.count)
    var contents: [Int: [UInt8]] = [:]
    var ids: [[UInt8]: Int] = [:]
    for (index, token) in tokens.enumerated() {
      let problem: String?
      let piece = vocabulary.pieces.indices.contains(token.id) ? vocabulary.pieces[token.id] : []
      if !(0...limit).contains(token.id) {
        problem = "id \(token.id), which is not in 0...\(limit)"
      } else if let id = vocabulary.id(token.content), Int(id) != token.id {
        problem = "id \(token.id), but \(id) in the vocabulary"
      } else if !piece.isEmpty, piece != token.content {
        problem = "id \(token.id), which is \(JSONValue.string(piece).kind) in the vocabulary"
      } else if contents.updateValue(token.content, forKey: token.id) != nil {
        problem = "id \(token.id) for two tokens"
      } else {
        problem = ids.updateValue(token.id, forKey: token.content) == nil ? nil : "one token twice"
      }
      if let problem {
        throw InputError(
          "\(root.file): added_tokens[\(index)]", expected: "a token's own id",
          found: "\(problem), for \(JSONValue.string(token.content).kind)")
      }
    }
  }

  private static func bytePairModel(
    _ model: JSONCursor, _ vocabulary: Vocabulary, isByteLevel: Bool
  ) throws(InputError) -> BytePairModel {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = try model.optional(key), try !affix.string().isEmpty {
        throw affix.error(expected: "null or \"\"")
      }
    }
    if let dropout = try model.optional("dropout") {
      switch dropout.value {
      case .integer(0), .number(0): break
      default: throw dropout.error(expected: "null or 0, for ids that don't depend on chance")
      }
    }
    let alphabet: BytePairModel.Alphabet
    if isByteLevel {
      alphabet = .bytes(ByteAlphabet.characters.map { vocabulary.id($0) ?? -1 })
    } else {
      alphabet = .characters(characters(vocabulary))
    }
    let pairs = try pairs(try model.required("merges"), vocabulary)
    var result = BytePairModel(vocabulary: vocabulary, rule: .pairs(pairs), alphabet: alphabet)
    result.takesWholeWords = try model.flag("ignore_merges")
    result.fusesUnknown = try model.flag("fuse_unk")
    if try model.flag("byte_fallback") {
      result.byteTokens = (0...255).map { byte in
        let digits = String(byte, radix: 16, uppercase: true)
        return vocabulary.id(Array("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8)) ?? -1
      }
    }
    if let unknown = try model.optional("unk_token"), try !unknown.bytes().isEmpty {
      result.unknown = vocabulary.id(try unknown.bytes())
      if result.unknown == nil { throw unknown.error(expected: "a token of the vocabulary") }
    }
    return result
  }

  private static func characters(_ vocabulary: Vocabulary) -> [Unicode.Scalar: Int32] {
    var characters: [Unicode.Scalar: Int32] = [:]
    for (id, piece) in vocabulary.pieces.enumerated() where !piece.isEmpty && piece.count <= 4 {
      let scalars = String(decoding: piece, as: UTF8.self).unicodeScalars
      if let scalar = scalars.first, scalars.count == 1 { characters[scalar] = Int32(id) }
    }
    return characters
  }

  /// The merges, each "left right" or ["left", "right"]. The last of two merges of the same pair counts, as in Hugging Face's.
  private static func pairs(
    _ key: JSONCursor, _ vocabulary: Vocabulary
  ) throws(InputError) -> [UInt64: BytePairModel.Merge] {
    let merges = try key.values()
    guard merges.count < UInt32.max else { throw key.error(expected: "less than 2^32 merges") }
    var pairs: [UInt64: BytePairModel.Merge] = [:]
    pairs.reserveCapacity(merges.count)
    for (rank, merge) in merges.enumerated() {
      guard let (left, right) = parts(ofMerge: merge) else {
        throw InputError(
          "\(key.subject)[\(rank)]", expected: "\"left right\" or [\"left\", \"right\"]", found: merge.kind)
      }
      guard let leftID = vocabulary.id(left), let rightID = vocabulary.id(right), let id = vocabulary.id(left + right)
      else {
        throw InputError(
          "\(key.subject)[\(rank)]", expected: "two tokens of the vocabulary whose concatenation is one too",
          found: "\(JSONValue.string(left).kind) and \(JSONValue.string(right).kind)")
      }
      pairs[UInt64(leftID) << 32 | UInt64(rightID)] = BytePairModel.Merge(rank: UInt32(rank), id: id)
    }
    return pairs
  }

  private static func parts(ofMerge merge: JSONValue) -> (left: [UInt8], right: [UInt8])? {
    switch merge {
    case .string(let bytes):
      guard let space = bytes.firstIndex(of: 0x20), space > 0, space + 1 < bytes.count,
        !bytes[(space + 1)...].contains(0x20)
      else { return nil }
      return (Array(bytes[..<space]), Array(bytes[(space + 1)...]))
    case .array(let both):
      guard both.count == 2, case .string(let left) = both[0], case .string(let right) = both[1] else { return nil }
      return left.isEmpty || right.isEmpty ? nil : (left, right)
    default:
      return nil
    }
  }

  private func splitterSteps() throws(InputError) -> (steps: [WordSplitter.Step], isByteLevel: Bool) {
    guard let splitter = try root.optional("pre_tokenizer") else { return ([], false) }
    var reader = SplitterReader()
    try reader.read(splitter)
    return (reader.steps, reader.isByteLevel)
  }
}
