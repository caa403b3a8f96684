internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Reporting
internal import SweepRecords
internal import Tokenization

/// `tokenize`: text to ids, and back.
struct TokenizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Prints the token ids of a text, or the text of token ids.")

  @Option(help: "A Hugging Face directory or a .gguf file.") var model: String
  @Option(help: "Tokenise this file instead of TEXT.") var file: String?
  @Option(parsing: .unconditional, help: "Print the text of these ids: 19556,905.") var decode: String?
  @OptionGroup var text: TextOptions
  @Option(help: "table, json or csv.") var format = OutputFormat.table
  @Argument(help: "The text, taken literally; special tokens spelled in it are parsed as such.") var content: String?

  private struct Output: Encodable {
    struct Token: Encodable {
      var id: Int
      var text: String
    }
    var tokens: [Token]
    var text: String?
  }

  func run() async throws {
    let tokenizer = try PromptedModel.tokenizer(at: model)
    let given = [content != nil, file != nil, decode != nil].filter { $0 }.count
    guard given == 1 else {
      throw InputError("tokenize", expected: "one of TEXT, --file and --decode", found: "\(given) of them")
    }
    var decoded: String?
    let ids: [Int]
    if let decode {
      ids = try Lists.tokens(decode, flag: "--decode")
      decoded = try tokenizer.decodeText(ids)
    } else {
      ids = try tokenizer.encode(bytes: try input(), addingBeginningOfText: text.bos)
    }
    let tokens = ids.map { Output.Token(id: $0, text: tokenizer.text(of: $0) ?? "") }
    switch format {
    case .json: try JSONOutput.print(Output(tokens: tokens, text: decoded))
    case .csv, .table:
      if let decoded {
        Terminal.result(decoded + "\n")
      } else if format == .csv {
        let rows = tokens.map { [Cell.integer($0.id), .text($0.text)] }
        Terminal.result(TerminalTable(columns: ["id", "text"], rows: rows).render(as: .csv))
      } else {
        Terminal.result(ids.map(String.init).joined(separator: " ") + "\n")
      }
    }
  }

  private func input() throws(InputError) -> [UInt8] {
    guard let file else { return Array((content ?? "").utf8) }
    return try Inputs.bytes(file)
  }
}
