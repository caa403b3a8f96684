internal import CProcessor

/// What will be read later: tiles ask for it line by line, to have it in the second-level cache by then. It lies in runs of
/// `runBytes`, one every `stride` bytes; tiles have equal shares, which may begin in one run and end in the next.
struct LookAhead {
  /// A tile's share: `first` bytes at `from`, and the rest at `then`.
  struct Share {
    var from: UnsafeRawPointer
    var first: Int
    var bytes: Int
    var then: UnsafeRawPointer
  }
  /// Where the next share begins, as long as there is one.
  var present: UnsafeRawPointer { run + asked }
  private var run: UnsafeRawPointer
  private let runBytes: Int
  private let stride: Int
  /// Runs still to ask for, the present one included.
  private var runs: Int
  /// What has been asked for of the present run.
  private var asked = 0
  private var share: Int

  init(_ base: UnsafeRawPointer, runBytes: Int, every stride: Int, runs: Int) {
    (run, self.runBytes, self.stride, self.runs) = (base, runBytes, stride, max(0, runs))
    share = runBytes
  }

  /// Divides the runs among so many tiles; none gets more than a run.
  mutating func spread(over tiles: Int) {
    let lines = (runs * runBytes + 63) / 64
    share = min(runBytes, (lines + tiles - 1) / max(1, tiles) * 64)
  }

  /// What the next tile asks for.
  mutating func take() -> Share {
    guard runs > 0, runBytes > 0 else { return Share(from: run, first: 0, bytes: 0, then: run) }
    let left = runBytes &- asked
    let (from, then) = (run + asked, run + stride)
    if share < left {
      asked &+= share
      return Share(from: from, first: share, bytes: share, then: then)
    }
    run = then
    runs &-= 1
    asked = runs > 0 ? share &- left : 0
    return Share(from: from, first: left, bytes: runs > 0 ? share : left, then: then)
  }

  /// Leaves out what so many tiles have asked for.
  mutating func skip(_ tiles: Int) { for _ in 0..<tiles { _ = take() } }

  /// Asks for what is left at once.
  mutating func finish() {
    while runs > 0 && runBytes > 0 {
      let share = take()
      for offset in Swift.stride(from: 0, to: share.first, by: 64) { processor_prefetch_second(share.from + offset) }
      for offset in Swift.stride(from: 0, to: share.bytes - share.first, by: 64) {
        processor_prefetch_second(share.then + offset)
      }
    }
  }
}
