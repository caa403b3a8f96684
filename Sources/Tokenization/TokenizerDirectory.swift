package import Diagnostics
internal import Foundation

extension Tokenizer {
  /// The tokenizer of a Hugging Face directory: `tokenizer.json`, and where they are there `tokenizer_config.json`,
  /// `chat_template.jinja`, `special_tokens_map.json` and `config.json`, for the special tokens' roles and the chat template.
  ///
  /// - Throws: `InputError` naming file and key for what is missing, damaged, or would give other ids than the file means.
  package init(directory: String) throws(InputError) {
    let folder = URL(fileURLWithPath: directory, isDirectory: true)
    let path = folder.appendingPathComponent("tokenizer.json").path
    guard let bytes = try Self.contents(of: path) else {
      throw InputError(
        path, expected: "a file", found: "none", remedy: "give a directory with a tokenizer.json, or a .gguf file")
    }
    let file = try TokenizerFile(bytes, file: path)
    var parts = try file.parts()
    var roles = SpecialTokenRoles()
    for name in ["tokenizer_config.json", "special_tokens_map.json", "config.json"] {
      let path = folder.appendingPathComponent(name).path
      guard let bytes = try Self.contents(of: path) else { continue }
      try roles.read(try JSONCursor(bytes, file: path), parts)
    }
    let jinja = try Self.contents(of: folder.appendingPathComponent("chat_template.jinja").path)
    parts.beginningOfText = roles.beginning
    parts.endOfText = roles.end
    parts.chatTemplate = jinja.map { String(decoding: $0, as: UTF8.self) } ?? roles.chatTemplate
    let first = try file.firstTemplateToken()
    let putsBeginningFirst =
      first != nil && roles.beginning == first.flatMap { SpecialTokenRoles.id(of: Array($0.utf8), parts) }
    parts.wantsBeginningOfText = roles.addsBeginning ?? putsBeginningFirst
    try self.init(parts)
  }

  /// The tokenizer of a `tokenizer.json` alone: no token's role is known, so there is no BOS to add and no chat template.
  ///
  /// - Parameter file: what errors call it. Errors as for `init(directory:)`.
  package init(tokenizerJSON bytes: [UInt8], file: String) throws(InputError) {
    try self.init(try TokenizerFile(bytes, file: file).parts())
  }

  /// The bytes of a file, nil if there is none; more than 512 MiB is no tokenizer.
  private static func contents(of path: String) throws(InputError) -> [UInt8]? {
    let attributes: [FileAttributeKey: Any]
    do {
      attributes = try FileManager.default.attributesOfItem(
        atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)
    } catch CocoaError.fileReadNoSuchFile {
      return nil
    } catch {
      throw InputError(path, expected: "a readable file", found: error.localizedDescription)
    }
    let size = (attributes[.size] as? NSNumber)?.intValue ?? 0
    guard attributes[.type] as? FileAttributeType == .typeRegular, size <= 512 << 20 else {
      throw InputError(path, expected: "a file of at most 512 MiB", found: "a folder, a device or \(size) bytes")
    }
    do {
      return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    } catch {
      throw InputError(path, expected: "a readable file", found: error.localizedDescription)
    }
  }
}

/// Which tokens begin and end a text, and the chat template, from the files beside `tokenizer.json`; what is read first counts.
private struct SpecialTokenRoles {
  var beginning: Int?
  var end: Int?
  var addsBeginning: Bool?
  var chatTemplate: String?

  mutating func read(_ file: JSONCursor, _ parts: Tokenizer.Parts) throws(InputError) {
    if beginning == nil { beginning = try token("bos_token", file, parts) }
    if beginning == nil { beginning = try number("bos_token_id", file, parts) }
    if end == nil { end = try token("eos_token", file, parts) }
    if end == nil { end = try number("eos_token_id", file, parts) }
    if addsBeginning == nil { addsBeginning = try file.optional("add_bos_token")?.boolean() }
    if chatTemplate == nil, let template = try file.optional("chat_template") {
      chatTemplate = try Self.template(template)
    }
  }

  static func id(of content: [UInt8], _ parts: Tokenizer.Parts) -> Int? {
    parts.added.first { $0.content == content }?.id ?? parts.model.vocabulary.id(content).map(Int.init)
  }

  /// A role given as the token's text, alone or as the `content` of an object.
  private func token(_ key: String, _ file: JSONCursor, _ parts: Tokenizer.Parts) throws(InputError) -> Int? {
    guard let entry = try file.optional(key) else { return nil }
    let content: JSONCursor
    if case .object = entry.value { content = try entry.required("content") } else { content = entry }
    guard let id = Self.id(of: try content.bytes(), parts) else {
      throw content.error(expected: "a token of tokenizer.json")
    }
    return id
  }

  /// A role given as an id, or as a list of which the first counts.
  private func number(_ key: String, _ file: JSONCursor, _ parts: Tokenizer.Parts) throws(InputError) -> Int? {
    guard let entry = try file.optional(key) else { return nil }
    let first: JSONCursor?
    if case .array = entry.value { first = try entry.elements().first } else { first = entry }
    guard let first else { return nil }
    let id = try first.integer()
    // A config.json may be that of a bigger family; an id without a token is no role.
    guard parts.model.vocabulary.pieces.indices.contains(id) || parts.added.contains(where: { $0.id == id }) else {
      return nil
    }
    return id
  }

  /// A template, or the one named "default" of a list of named ones.
  private static func template(_ entry: JSONCursor) throws(InputError) -> String? {
    guard case .array = entry.value else { return try entry.string() }
    for named in try entry.elements() where try named.required("name").string() == "default" {
      return try named.required("template").string()
    }
    return nil
  }
}
