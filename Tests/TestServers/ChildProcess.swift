import CSpawn
import Foundation
import Synchronization

/// A child process, which inherits nothing but its three standard streams, so that what it leaves running holds nothing
/// of ours open. (Foundation's `Process` notices a child's end only when all of the child's own children have ended.)
package final class ChildProcess: Sendable {
  /// How a process ended: its exit status, or minus the signal that ended it.
  package typealias Status = Int32

  package let identifier: Int32
  private let state = Mutex(State())
  private struct State {
    var status: Status?
    var waiting: [CheckedContinuation<Status, Never>] = []
  }

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - program: its path.
  ///   - environment: all of its environment.
  ///   - folder: where it runs; nil for ours.
  ///   - output, error: files that it writes to, at their end; nil for nowhere.
  ///   - ownSession: whether a signal to our terminal's processes spares it.
  package init(
    _ program: String, _ arguments: [String], environment: [String: String] = ProcessInfo.processInfo.environment,
    folder: String? = nil, output: String? = nil, error: String? = nil, ownSession: Bool = false
  ) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    for (descriptor, path) in [(Int32(1), output), (2, error)] {
      let flags = O_WRONLY | O_CREAT | O_APPEND
      posix_spawn_file_actions_addopen(&actions, descriptor, path ?? "/dev/null", flags, 0o600)
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    if let folder { posix_spawn_file_actions_addchdir_np(&actions, folder) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // Whatever our own process ignores or blocks, the child begins anew.
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    var flags = Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF)
    if ownSession { flags |= steerscope_spawn_setsid }
    posix_spawnattr_setflags(&attributes, flags)

    var argv = ([program] + arguments).map { strdup($0) } + [nil]
    var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in argv + variables { free(text) } }
    var identifier: Int32 = 0
    let code = posix_spawn(&identifier, program, &actions, &attributes, &argv, &variables)
    guard code == 0 else { throw ServerError(description: "\(program): \(String(cString: strerror(code)))") }
    self.identifier = identifier
    Thread.detachNewThread { [self] in reap() }
  }

  private func reap() {
    var status: Int32 = 0
    while waitpid(identifier, &status, 0) == -1, errno == EINTR {}
    let result = status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      state.status = result
      return state.waiting
    }
    for continuation in waiting { continuation.resume(returning: result) }
  }

  /// Nil while it runs.
  package var status: Status? { state.withLock { $0.status } }

  /// Waits for its end.
  package func end() async -> Status {
    await withCheckedContinuation { continuation in
      let status = state.withLock { state in
        if state.status == nil { state.waiting.append(continuation) }
        return state.status
      }
      if let status { continuation.resume(returning: status) }
    }
  }

  /// Sends a signal, unless it has ended.
  package func signal(_ number: Int32) { state.withLock { if $0.status == nil { kill(identifier, number) } } }
}
