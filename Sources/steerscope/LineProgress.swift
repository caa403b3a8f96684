internal import Foundation
internal import Synchronization

/// One line of progress on standard error: redrawn on a terminal, every tenth part elsewhere.
final class LineProgress: Sendable {
  private let title: String
  private let lastTenth = Mutex(-1)

  init(_ title: String) { self.title = title }

  /// Shows the share that is done, 0...1.
  func show(_ fraction: Double) {
    if Terminal.isInteractive {
      FileHandle.standardError.write(Data("\r\(title): \(Int(100 * fraction)) % ".utf8))
      return
    }
    let tenth = Int(10 * fraction)
    if lastTenth.withLock({ last in
      last < tenth
        ? {
          last = tenth; return true
        }() : false
    }) {
      Terminal.say("\(title): \(Int(100 * fraction)) %")
    }
  }

  /// Clears the line on a terminal.
  func finish() {
    if Terminal.isInteractive { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
  }
}
