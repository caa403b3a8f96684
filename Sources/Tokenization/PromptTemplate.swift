package import Diagnostics
internal import Foundation

/// How a question is put to a model: the text of a conversation up to the place where the answer begins.
///
/// The prompt is placed as it stands; a `{system}` spelled in it is not replaced. The rendered text then goes through
/// `Tokenizer.encode`, which takes special tokens spelled anywhere in it, in the prompt too, for those tokens.
package struct PromptTemplate: Sendable, Equatable {
  /// The templates that have a name.
  package enum Family: String, Sendable, CaseIterable {
    /// The prompt and nothing else.
    case raw
    /// `<|im_start|>` role ... `<|im_end|>`.
    case chatml
    /// `<start_of_turn>` ... `<end_of_turn>`; the system text stands in front of the prompt.
    case gemma
    /// `[INST] <<SYS>> ... <</SYS>> ... [/INST]`.
    case llama2
    /// `<|start_header_id|>` role ... `<|eot_id|>`.
    case llama3
    /// The user's own text with `{prompt}` and, if wanted, `{system}`.
    case file
  }

  package let family: Family
  /// The text that `{prompt}` and `{system}` are replaced in, when there is a system text.
  let patternWithSystem: String
  /// The same without a system text.
  let patternWithoutSystem: String
  /// What stands for the system text when the caller gives none; nil: no system text then.
  package let defaultSystem: String?
  /// A conversation begins with the BOS token; the rendered text doesn't have it, so encode with `addingBeginningOfText`.
  package let beginsWithBeginningOfText: Bool
  /// The family's own templates remove white space around what people wrote.
  private let trims: Bool

  /// A template by its family (not `.file`, which is raw here).
  ///
  /// - Parameter defaultSystem: the system text of conversations that give none.
  package init(_ family: Family, defaultSystem: String? = nil) {
    self.init(family, defaultSystem: defaultSystem, preamble: "")
  }

  /// - Parameter preamble: what a Llama 3.1 template puts in front of every system text, even where there is none.
  init(_ family: Family, defaultSystem: String?, preamble: String) {
    self.family = family == .file ? .raw : family
    self.defaultSystem = defaultSystem
    beginsWithBeginningOfText = [.gemma, .llama2, .llama3].contains(family)
    trims = beginsWithBeginningOfText
    switch family {
    case .raw, .file:
      (patternWithSystem, patternWithoutSystem) = ("{prompt}", "{prompt}")
    case .chatml:
      let turn = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
      (patternWithSystem, patternWithoutSystem) = ("<|im_start|>system\n{system}<|im_end|>\n" + turn, turn)
    case .gemma:
      let (start, end) = ("<start_of_turn>user\n", "{prompt}<end_of_turn>\n<start_of_turn>model\n")
      (patternWithSystem, patternWithoutSystem) = (start + "{system}\n\n" + end, start + end)
    case .llama2:
      patternWithSystem = "[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{prompt} [/INST]"
      patternWithoutSystem = "[INST] {prompt} [/INST]"
    case .llama3:
      let header = { (role: String) in "<|start_header_id|>\(role)<|end_header_id|>\n\n" }
      let turn = header("user") + "{prompt}<|eot_id|>" + header("assistant")
      patternWithSystem = header("system") + preamble + "{system}<|eot_id|>" + turn
      patternWithoutSystem = preamble.isEmpty ? turn : header("system") + preamble + "<|eot_id|>" + turn
    }
  }

  /// A template of the user's own.
  ///
  /// - Parameters:
  ///   - text: has `{prompt}` once or more, and `{system}` if it has a place for one.
  ///   - file: what errors call it.
  /// - Throws: `InputError` if there is no `{prompt}`.
  package init(text: String, file: String) throws(InputError) {
    guard text.contains("{prompt}") else {
      throw InputError(file, expected: "a template with {prompt} where the question goes", found: "none in it")
    }
    family = .file
    patternWithSystem = text
    patternWithoutSystem = text
    defaultSystem = nil
    beginsWithBeginningOfText = false
    trims = false
  }

  /// The template that `--prompt` asks for.
  ///
  /// - Parameters:
  ///   - argument: the name of a family, the path of a file, or nil for the model's own.
  ///   - chatTemplate: the model's own (see `Tokenizer.chatTemplate`). Its default system text is kept where it is of the
  ///     family that is asked for.
  /// - Throws: `InputError` if the argument is neither a name nor a readable file with `{prompt}`.
  package init(argument: String?, chatTemplate: String?) throws(InputError) {
    let own = Self.detect(chatTemplate: chatTemplate)
    guard let argument else {
      self = own
      return
    }
    if let family = Family(rawValue: argument), family != .file {
      self = own.family == family ? own : PromptTemplate(family)
      return
    }
    guard let data = FileManager.default.contents(atPath: argument) else {
      throw InputError(
        "prompt template", expected: "raw, chatml, gemma, llama2, llama3 or a text file with {prompt}",
        found: "\"\(argument)\"")
    }
    guard data.count <= 1 << 20, let text = String(validating: data, as: UTF8.self) else {
      throw InputError(argument, expected: "a text file in UTF-8 of at most 1 MiB", found: "\(data.count) bytes")
    }
    try self.init(text: text, file: argument)
  }

  /// The text of a conversation with one question, up to where the answer begins, without the BOS token.
  ///
  /// - Parameter system: nil for the default; empty for none.
  package func render(prompt: String, system: String? = nil) -> String {
    let system = trimmed(system ?? defaultSystem ?? "")
    let pattern = system.isEmpty ? patternWithoutSystem : patternWithSystem
    return Self.replace(pattern, ["{prompt}": trimmed(prompt), "{system}": system])
  }

  private func trimmed(_ text: String) -> String {
    trims ? text.trimmingCharacters(in: .whitespacesAndNewlines) : text
  }

  /// Replaces the marks of the pattern in one pass, so that marks spelled in what is put in stay as they are.
  private static func replace(_ pattern: String, _ values: [String: String]) -> String {
    var result = ""
    var rest = pattern[...]
    while let brace = rest.firstIndex(of: "{") {
      result += rest[..<brace]
      rest = rest[brace...]
      if let (mark, value) = values.first(where: { rest.hasPrefix($0.key) }) {
        result += value
        rest = rest.dropFirst(mark.count)
      } else {
        result.append(rest.removeFirst())
      }
    }
    return result + rest
  }
}

extension PromptTemplate {
  /// The family that a model's own chat template (Jinja) belongs to, with its default system text; raw if it is none of them.
  ///
  /// The template is read for the marks of the families, not executed: what it computes beyond them (tools, dates, reasoning)
  /// is not seen.
  package static func detect(chatTemplate: String?) -> PromptTemplate {
    guard let chatTemplate else { return PromptTemplate(.raw) }
    // Written in a JSON or Jinja string, a line end may be the two characters `\n`.
    let template = chatTemplate.replacingOccurrences(of: "\\n", with: "\n")
    let has = { (mark: String) in template.contains(mark) }
    if has("<|im_start|>"), has("<|im_end|>"), has("assistant") {
      return PromptTemplate(.chatml, defaultSystem: defaultSystem(ofChatML: template))
    }
    if has("<start_of_turn>"), has("<end_of_turn>"), has("model") { return PromptTemplate(.gemma) }
    if has("<|start_header_id|>"), has("<|end_header_id|>"), has("<|eot_id|>") {
      return PromptTemplate(.llama3, defaultSystem: nil, preamble: preamble(ofLlama3: template))
    }
    if has("[INST]"), has("[/INST]"), has("<<SYS>>"), has("<</SYS>>") { return PromptTemplate(.llama2) }
    return PromptTemplate(.raw)
  }

  /// The system text that a template spells out for conversations without one: a literal `<|im_start|>system\n...<|im_end|>`.
  private static func defaultSystem(ofChatML template: String) -> String? {
    let opening = "<|im_start|>system\n"
    var rest = template[...]
    while let start = rest.range(of: opening) {
      rest = rest[start.upperBound...]
      guard let end = rest.range(of: "<|im_end|>") else { return nil }
      let text = rest[..<end.lowerBound]
      // A quote or a brace ends the literal: then the text is put together from variables.
      if !text.isEmpty, !text.contains(where: { "'\"{}".contains($0) }) { return String(text) }
    }
    return nil
  }

  /// Llama 3.1 and later state two dates in front of every system text; "today" is the date that the template falls back on.
  private static func preamble(ofLlama3 template: String) -> String {
    let cutting = "Cutting Knowledge Date: December 2023\n"
    guard template.contains(cutting), let marker = template.range(of: "date_string = \"") else { return "" }
    let date = template[marker.upperBound...].prefix { $0 != "\"" }
    guard (1...40).contains(date.count) else { return "" }
    return cutting + "Today Date: \(date)\n\n"
  }
}
