package import Diagnostics

/// Turns text into the token ids of one model and back.
///
/// A value is immutable and may be used from any number of threads. The same text gives the same ids everywhere.
/// Bytes that are not UTF-8 are kept: each becomes the token of that byte where the vocabulary has one.
package struct Tokenizer: Sendable {
  /// The number of ids: the greatest id plus one. A model may have more rows than that, never fewer.
  package let vocabularySize: Int
  /// The id that begins a text (BOS), nil where the files name none.
  package let beginningOfText: Int?
  /// The id that ends a text or a turn (EOS), nil where the files name none.
  package let endOfText: Int?
  /// The files ask for the beginning of text in front of every text; `encode` adds it only when told to.
  package let wantsBeginningOfText: Bool
  /// The model's own chat template (Jinja text), nil where the files have none; see `PromptTemplate.detect`.
  package let chatTemplate: String?
  /// The bytes that no token stands for: encoding leaves them out, as other implementations do. Empty for most models.
  package let missingBytes: [UInt8]

  private let normalization: [NormalizationStep]
  private let splitter: WordSplitter
  private let model: BytePairModel
  private let decoder: Decoder
  private let added: [Int: AddedToken]
  private let rawFinder: AddedTokenFinder
  private let normalizedFinder: AddedTokenFinder
  private let addedIDs: [[UInt8]: Int]

  /// What a loader has read; the initialiser below puts it together.
  struct Parts {
    var normalization: [NormalizationStep] = []
    var splitter = WordSplitter(steps: [])
    var model: BytePairModel
    var decoder = Decoder(steps: [])
    var added: [AddedToken] = []
    var beginningOfText: Int?
    var endOfText: Int?
    var wantsBeginningOfText = false
    var chatTemplate: String?
  }

  init(_ parts: Parts) throws(InputError) {
    normalization = parts.normalization
    splitter = parts.splitter
    model = parts.model
    decoder = parts.decoder
    beginningOfText = parts.beginningOfText
    endOfText = parts.endOfText
    wantsBeginningOfText = parts.wantsBeginningOfText
    chatTemplate = parts.chatTemplate
    missingBytes = (0...255).filter { parts.model.id(ofByte: $0) == nil }
    var added: [Int: AddedToken] = [:]
    var addedIDs: [[UInt8]: Int] = [:]
    var rawFinder = AddedTokenFinder()
    var normalizedFinder = AddedTokenFinder()
    for token in parts.added {
      added[token.id] = token
      addedIDs[token.content] = token.id
      if token.isNormalized {
        normalizedFinder.insert(token, form: try Self.normalize(token.content, parts.normalization))
      } else {
        rawFinder.insert(token, form: token.content)
      }
    }
    self.added = added
    self.addedIDs = addedIDs
    self.rawFinder = rawFinder
    self.normalizedFinder = normalizedFinder
    vocabularySize = max(parts.model.vocabulary.pieces.count, (added.keys.max() ?? -1) + 1)
  }

  private static func normalize(_ text: [UInt8], _ steps: [NormalizationStep]) throws(InputError) -> [UInt8] {
    var text = text
    for step in steps { text = try step.apply(text) }
    return text
  }
}

extension Tokenizer {
  /// The ids of a text.
  ///
  /// - Parameters:
  ///   - text: taken literally, except that special tokens spelled in it (`<|im_start|>`) become those tokens.
  ///   - addingBeginningOfText: puts the BOS token in front; nothing else is ever added.
  ///   - parsingSpecialTokens: false takes special tokens for ordinary text.
  /// - Throws: `InputError` if there is no BOS token to add, or a pattern of the tokenizer's file runs out of its limits.
  package func encode(
    _ text: String, addingBeginningOfText: Bool = false, parsingSpecialTokens: Bool = true
  ) throws(InputError) -> [Int] {
    try encode(
      bytes: Array(text.utf8), addingBeginningOfText: addingBeginningOfText, parsingSpecialTokens: parsingSpecialTokens)
  }

  /// The ids of a text given as bytes, which need not be valid UTF-8. Parameters and errors as for a string.
  ///
  /// Complexity: O(n log n) in the number of bytes; at most 2^30 of them.
  package func encode(
    bytes: [UInt8], addingBeginningOfText: Bool = false, parsingSpecialTokens: Bool = true
  ) throws(InputError) -> [Int] {
    guard bytes.count <= 1 << 30 else {
      throw InputError(
        "text to tokenize", expected: "at most 2^30 bytes", found: "\(bytes.count)", remedy: "cut it into several texts"
      )
    }
    var ids: [Int] = []
    ids.reserveCapacity(bytes.count / 4 + 8)
    if addingBeginningOfText {
      guard let beginningOfText else {
        throw InputError(
          "tokenizer", expected: "a beginning-of-text (BOS) token to add", found: "none in the model's files",
          remedy: "encode without it")
      }
      ids.append(beginningOfText)
    }
    var workspace = BytePairModel.Workspace()
    for run in UTF8Runs.split(bytes) {
      switch run {
      case .invalid(let byte):
        if let id = model.id(ofByte: byte) { ids.append(Int(id)) }
      case .text(let range):
        let text = range.count == bytes.count ? bytes : Array(bytes[range])
        try encode(text, isFirst: range.lowerBound == 0, parsingSpecialTokens, &workspace, &ids)
      }
    }
    return ids
  }

  private func encode(
    _ text: [UInt8], isFirst: Bool, _ parsingSpecialTokens: Bool, _ workspace: inout BytePairModel.Workspace,
    _ ids: inout [Int]
  ) throws(InputError) {
    for part in rawFinder.parts(text, findsSpecial: parsingSpecialTokens) {
      guard case .text(let range) = part else {
        if case .token(let id) = part { ids.append(id) }
        continue
      }
      let isFirst = isFirst && range.lowerBound == 0
      let normalized = try Self.normalize(range.count == text.count ? text : Array(text[range]), normalization)
      for part in normalizedFinder.parts(normalized, findsSpecial: parsingSpecialTokens) {
        switch part {
        case .token(let id): ids.append(id)
        case .text(let range) where range.isEmpty: continue
        case .text(let range):
          let text = range.count == normalized.count ? normalized : Array(normalized[range])
          let words = try splitter.words(text, isFirst: isFirst && range.lowerBound == 0)
          for word in words.ranges { model.encode(words.bytes, word, workspace: &workspace, into: &ids) }
        }
      }
    }
  }

  /// The bytes that a sequence of ids stands for: for a byte-level tokenizer exactly those that were encoded.
  ///
  /// - Parameter skippingSpecialTokens: leaves out tokens that have a meaning to the model instead of a text.
  /// - Throws: `InputError` naming an id that the vocabulary doesn't have.
  package func decode(_ ids: [Int], skippingSpecialTokens: Bool = false) throws(InputError) -> [UInt8] {
    var pieces: [Decoder.Piece] = []
    pieces.reserveCapacity(ids.count)
    for id in ids {
      guard let piece = piece(of: id) else {
        throw InputError(
          "token id \(id)", expected: "an id in 0..<\(vocabularySize) that has a token", found: "none there")
      }
      if !(skippingSpecialTokens && isSpecial(id)) { pieces.append(piece) }
    }
    return decoder.decode(pieces)
  }

  /// `decode` as a string, with U+FFFD for bytes that are not UTF-8. Errors as for `decode`.
  package func decodeText(_ ids: [Int], skippingSpecialTokens: Bool = false) throws(InputError) -> String {
    String(decoding: try decode(ids, skippingSpecialTokens: skippingSpecialTokens), as: UTF8.self)
  }

  /// The bytes of one token wherever it stands, nil where no token has this id.
  package func bytes(of id: Int) -> [UInt8]? {
    piece(of: id).map(decoder.decode(alone:))
  }

  /// The text of one token, with U+FFFD for parts of characters; nil where no token has this id.
  package func text(of id: Int) -> String? {
    bytes(of: id).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The id of a token by its name as the files spell it (`<|im_start|>`, `<bos>`, `Ġthe`), nil where there is none.
  package func id(ofToken name: String) -> Int? {
    let name = Array(name.utf8)
    return addedIDs[name] ?? model.vocabulary.id(name).map(Int.init)
  }

  /// Whether a token has a meaning to the model (begin, end, turn) instead of a text.
  package func isSpecial(_ id: Int) -> Bool { added[id]?.isSpecial ?? false }

  /// The names of all special tokens with their ids, by rising id.
  package var specialTokens: [(name: String, id: Int)] {
    added.values.filter(\.isSpecial).sorted { $0.id < $1.id }.map {
      (String(decoding: $0.content, as: UTF8.self), $0.id)
    }
  }

  private func piece(of id: Int) -> Decoder.Piece? {
    if let token = added[id] { return Decoder.Piece(bytes: token.content, isAdded: true) }
    guard model.vocabulary.pieces.indices.contains(id), !model.vocabulary.pieces[id].isEmpty else { return nil }
    return Decoder.Piece(bytes: model.vocabulary.pieces[id], isAdded: false)
  }
}
