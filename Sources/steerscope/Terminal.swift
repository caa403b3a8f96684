internal import Foundation

/// Standard output and error: results to the one, words to the other.
enum Terminal {
  /// Writes a line to standard error, without secrets.
  static func say(_ line: String) { write(Secrets.blotted(line) + "\n", to: .standardError) }

  /// Writes a result to standard output, as it is.
  static func result(_ text: String) { write(text, to: .standardOutput) }

  /// Whether standard error is a terminal that takes a bar and colours.
  static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb" }

  /// Whether standard output is a terminal.
  static var isResultTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether colours are wanted (https://no-color.org).
  static var hasColour: Bool { isInteractive && (environment["NO_COLOR"] ?? "").isEmpty }

  /// The width of the terminal in columns; 100 where there is none.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return Int(size.ws_col)
  }

  /// The height of the terminal on standard output in lines; 24 where there is none.
  static var height: Int {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return 24 }
    return Int(size.ws_row)
  }

  static var environment: [String: String] { ProcessInfo.processInfo.environment }

  /// A full disk under standard output ends the program (a closed pipe does so by its signal); words may be lost.
  private static func write(_ text: String, to file: FileHandle) {
    do {
      try file.write(contentsOf: Data(text.utf8))
    } catch {
      guard file === FileHandle.standardOutput else { return }
      say("error: standard output: expected room for the result, found \(String(cString: strerror(errno)))")
      exit(1)
    }
  }
}
