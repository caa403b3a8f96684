internal import CProcessor

/// What will be read later: tiles ask for it line by line, to have it in the second-level cache by then. It lies in runs of
/// `runBytes`, one every `stride` bytes; a tile asks for a part of one run.
struct LookAhead {
  private(set) var run: UnsafeRawPointer
  private let runBytes: Int
  private let stride: Int
  /// Runs still to ask for, the present one included.
  private var runs: Int
  private var tilesOfRun = 1
  private var bytesOfTile: Int
  /// Tiles that have asked for a part of the present run.
  private var asked = 0

  init(_ base: UnsafeRawPointer, runBytes: Int, every stride: Int, runs: Int) {
    (run, self.runBytes, self.stride, self.runs) = (base, runBytes, stride, max(0, runs))
    bytesOfTile = runBytes
  }

  /// Divides the runs among so many tiles.
  mutating func spread(over tiles: Int) {
    tilesOfRun = max(1, tiles / max(1, runs))
    bytesOfTile = (runBytes + tilesOfRun - 1) / tilesOfRun
  }

  /// What the next tile asks for: from where on, and how many bytes.
  mutating func take() -> (from: UnsafeRawPointer, bytes: Int) {
    guard runs > 0 else { return (run, 0) }
    let from = run + asked &* bytesOfTile
    asked &+= 1
    if asked == tilesOfRun {
      run += stride
      runs &-= 1
      asked = 0
    }
    return (from, bytesOfTile)
  }

  /// Leaves out what so many tiles have asked for.
  mutating func skip(_ tiles: Int) { for _ in 0..<tiles { _ = take() } }

  /// Asks for what is left at once.
  mutating func finish() {
    while runs > 0 {
      let (from, bytes) = take()
      for offset in Swift.stride(from: 0, to: bytes, by: 64) { processor_prefetch_second(from + offset) }
    }
  }
}
