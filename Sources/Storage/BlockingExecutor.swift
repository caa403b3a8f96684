internal import Dispatch

/// Runs an actor's jobs one by one on a thread of its own: databases wait for disks, networks and locks, and the threads
/// that all asynchronous code shares must not.
final class BlockingExecutor: SerialExecutor {
  private let queue: DispatchQueue

  init(label: String) { queue = DispatchQueue(label: label) }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
}
