internal import CProcessor
internal import Foundation
internal import Synchronization

/// A pool of worker threads of fixed width; `threads == 1` runs everything inline.
///
/// Work is cut into independent outputs only, so results never depend on the width. Make one pool a process and hand it down.
package final class ThreadPool: Sendable {
  /// How many threads take part in a call, the caller's own included.
  package let threads: Int
  private let crew: Crew?

  /// - Parameter threads: 1 or more; the pool starts `threads - 1` workers, which sleep between calls.
  package init(threads: Int) {
    precondition(threads >= 1 && threads <= 4096, "a pool has 1 to 4096 threads")
    self.threads = threads
    guard threads > 1 else {
      crew = nil
      return
    }
    let crew = Crew(threads: threads, maySpin: threads <= ThreadPool.hardwareThreads)
    self.crew = crew
    for index in 1..<threads {
      let thread = Thread { crew.serve(index) }
      thread.name = "kernels-\(index)"
      thread.start()
    }
  }

  deinit { crew?.dismiss() }

  /// The number of threads that this process may use at once: what a pool is made with unless the user says otherwise.
  package static var hardwareThreads: Int { max(1, ProcessInfo.processInfo.activeProcessorCount) }

  /// Runs `body(0)` to `body(count - 1)`, each once, in no particular order, and returns when all are done.
  ///
  /// Callable from any thread. A call from inside a body, or while another thread's call is under way, runs inline.
  package func forEach(_ count: Int, _ body: @Sendable (Int) -> Void) { divide(count, body) }

  /// What `body(0)` to `body(count - 1)` return, in this order; they run as those of `forEach` do.
  package func map<Value: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Value) -> [Value] {
    [Value](unsafeUninitializedCapacity: count) { target, written in
      divide(count) { target.initializeElement(at: $0, to: body($0)) }
      written = count
    }
  }

  /// `forEach` for this module's own loops over raw memory; each index must write memory that no other index touches.
  func divide(_ count: Int, _ body: (Int) -> Void) {
    guard count > 1, let crew, crew.tryRun(count, body) else {
      for index in 0..<max(0, count) { body(index) }
      return
    }
  }
}

/// What a pool's threads share. One call at a time owns it (`busy`); everyone else runs inline.
///
/// Sendable, because `body` and `count` are written only by the owner of `busy` while the gate is closed and nobody is
/// inside, and read only by threads that came in through the gate; all else is atomic or a lock.
private final class Crew: @unchecked Sendable {
  private let maySpin: Bool
  private let busy = Atomic<Bool>(false)
  private let stopping = Atomic<Bool>(false)
  /// Rises with every call; workers wait for it to change.
  private let generation = Atomic<Int>(0)
  /// `open` while a call takes helpers, plus the number of helpers inside.
  private let gate = Atomic<Int>(0)
  private let shares: Shares
  private let sleepers = Atomic<Int>(0)
  private let callerSleeps = Atomic<Bool>(false)
  private let condition = NSCondition()
  private let finished = NSCondition()
  private var count = 0
  private var body: UnsafePointer<(Int) -> Void>?

  private static let open = 1 << 32
  /// About 100 microseconds, what waking a sleeping thread takes where the processor is a virtual one: whoever waits for less
  /// wins, and nobody waits in vain for more than that.
  private static let spins = 2400

  init(threads: Int, maySpin: Bool) {
    shares = Shares(threads)
    self.maySpin = maySpin
  }

  /// Runs the call with helpers, or returns false where another call has them.
  func tryRun(_ count: Int, _ body: (Int) -> Void) -> Bool {
    guard busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else { return false }
    withoutActuallyEscaping(body) { escapable in
      withUnsafePointer(to: escapable) { pointer in run(count, pointer) }
    }
    busy.store(false, ordering: .releasing)
    return true
  }

  private func run(_ count: Int, _ pointer: UnsafePointer<(Int) -> Void>) {
    self.count = count
    body = pointer
    shares.begin()
    gate.store(Crew.open, ordering: .releasing)
    generation.add(1, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      condition.lock()
      condition.broadcast()
      condition.unlock()
    }
    takeShare(0, count, pointer)
    gate.bitwiseAnd(~Crew.open, ordering: .sequentiallyConsistent)
    awaitHelpers()
    body = nil
  }

  /// Not inlined, so that what it retains of the closure is released before the helper leaves the gate.
  @inline(never)
  private func takeShare(_ thread: Int, _ count: Int, _ pointer: UnsafePointer<(Int) -> Void>) {
    // One's own share first; then what others have not come to.
    for step in 0..<shares.threads {
      let owner = (thread + step) % shares.threads
      while let index = shares.next(of: owner, count) { pointer.pointee(index) }
    }
  }

  private func awaitHelpers() {
    var spins = maySpin ? Crew.spins : 0
    while gate.load(ordering: .acquiring) != 0 {
      if spins > 0 {
        spins -= 1
        processor_pause()
        continue
      }
      finished.lock()
      callerSleeps.store(true, ordering: .sequentiallyConsistent)
      while gate.load(ordering: .sequentiallyConsistent) != 0 { finished.wait() }
      callerSleeps.store(false, ordering: .sequentiallyConsistent)
      finished.unlock()
    }
  }

  /// A worker's life.
  func serve(_ thread: Int) {
    var seen = 0
    while true {
      seen = awaitCall(after: seen)
      if stopping.load(ordering: .acquiring) { return }
      guard enter() else { continue }
      if let body { takeShare(thread, count, body) }
      let state = gate.subtract(1, ordering: .sequentiallyConsistent).newValue
      if state == 0, callerSleeps.load(ordering: .sequentiallyConsistent) {
        finished.lock()
        finished.broadcast()
        finished.unlock()
      }
    }
  }

  private func awaitCall(after seen: Int) -> Int {
    var spins = maySpin ? Crew.spins : 0
    while spins > 0 {
      let now = generation.load(ordering: .acquiring)
      if now != seen { return now }
      spins -= 1
      processor_pause()
    }
    condition.lock()
    defer { condition.unlock() }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    defer { sleepers.subtract(1, ordering: .sequentiallyConsistent) }
    while true {
      let now = generation.load(ordering: .sequentiallyConsistent)
      if now != seen { return now }
      condition.wait()
    }
  }

  private func enter() -> Bool {
    var state = gate.load(ordering: .relaxed)
    while state & Crew.open != 0 {
      let (exchanged, original) = gate.compareExchange(
        expected: state, desired: state + 1, ordering: .acquiringAndReleasing)
      if exchanged { return true }
      state = original
    }
    return false
  }

  func dismiss() {
    stopping.store(true, ordering: .releasing)
    condition.lock()
    generation.add(1, ordering: .sequentiallyConsistent)
    condition.broadcast()
    condition.unlock()
  }
}

/// The indices of a call, an equal share for each thread: what one thread wrote, the next call has it read again, from its own cache.
///
/// Sendable, because the counters are atomic and the memory is freed when nobody has it any more.
private final class Shares: @unchecked Sendable {
  let threads: Int
  /// One a thread, on cache lines of their own.
  private let taken: UnsafeMutablePointer<Atomic<Int>>
  private static let stride = 64 / MemoryLayout<Atomic<Int>>.stride

  init(_ threads: Int) {
    self.threads = threads
    taken = .allocate(capacity: threads * Self.stride)
    for place in 0..<threads * Self.stride { (taken + place).initialize(to: Atomic(0)) }
  }

  deinit {
    taken.deinitialize(count: threads * Self.stride)
    taken.deallocate()
  }

  /// Before the gate opens.
  func begin() { for thread in 0..<threads { taken[thread * Self.stride].store(0, ordering: .relaxed) } }

  /// The next index of a thread's share of `count`, each once.
  func next(of thread: Int, _ count: Int) -> Int? {
    let (first, end) = (thread * count / threads, (thread + 1) * count / threads)
    guard first < end else { return nil }
    let index = first + taken[thread * Self.stride].add(1, ordering: .relaxed).oldValue
    return index < end ? index : nil
  }
}
