internal import ArgumentParser
internal import Diagnostics
internal import SweepPlanning

/// What went wrong, as one clear line and an exit status.
enum Failure {
  /// Prints an error and says with which status to end.
  static func report(_ error: any Error) -> Int32 {
    switch error {
    case let error as InputErrors:
      for line in error.errors { Terminal.say("error: \(line)") }
      return 2
    case let error as InputError:
      Terminal.say("error: \(error)")
      return 2
    case let code as ExitCode: return code.rawValue
    case is CancellationError: return 130
    default: break
    }
    switch Steerscope.exitCode(for: error) {
    case .success:  // --help and --version
      Terminal.result(Steerscope.fullMessage(for: error) + "\n")
      return 0
    case .validationFailure:
      Terminal.say("error: \(wrongUse(error, arguments: Array(CommandLine.arguments.dropFirst())))")
      return 2
    default:
      Terminal.say("error: \(error)")
      return 1
    }
  }

  /// What is wrong with the arguments, and where help is.
  private static func wrongUse(_ error: any Error, arguments: [String]) -> String {
    let (names, command) = called(arguments)
    let subcommands = command.configuration.subcommands.compactMap { $0.configuration.commandName }
    if !subcommands.isEmpty, names.count <= arguments.count {
      let word = arguments[names.count - 1]
      if !word.hasPrefix("-") {
        let near = SpellingSuggestion.nearest(to: word, among: subcommands)
        let remedy = near.map { "did you mean \($0)?" } ?? "see `\(names.joined(separator: " ")) --help`"
        return InputError(
          names.joined(separator: " "), expected: "a command", found: "\"\(word)\"", remedy: remedy
        ).description
      }
    }
    let message = Steerscope.message(for: error).split(separator: "\n").joined(separator: " ")
    let end = message.last.map { ".?!".contains($0) } ?? true ? "" : "."
    return "\(message)\(end) See `\(names.joined(separator: " ")) --help`."
  }

  /// The command that arguments begin with, and how it is called.
  private static func called(_ arguments: [String]) -> (names: [String], command: any ParsableCommand.Type) {
    var names = ["steerscope"]
    var command: any ParsableCommand.Type = Steerscope.self
    for argument in arguments {
      guard
        let next = command.configuration.subcommands.first(where: { $0.configuration.commandName == argument })
      else { break }
      names.append(argument)
      command = next
    }
    return (names, command)
  }
}
