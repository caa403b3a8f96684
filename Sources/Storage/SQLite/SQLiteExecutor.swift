internal import Dispatch

/// Runs an actor's jobs one by one on a queue of its own: SQLite waits for disks and locks, and the threads that all
/// asynchronous code shares must not.
final class SQLiteExecutor: SerialExecutor {
  private let queue = DispatchQueue(label: "steerscope.sqlite")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
}
