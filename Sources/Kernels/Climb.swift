/// A ladder in memory of its own, as it is climbed block by block.
struct Climb {
  /// One of its sides.
  struct Side {
    /// A row of B in a block's copy, and its line.
    struct Entry {
      var place: Int32
      var slope: Float
      var intercept: Float
    }
    let entries: UnsafeMutablePointer<Entry>
    /// As in `LadderRows.Side`.
    let starts: UnsafeMutablePointer<Int>
    let counts: UnsafeMutablePointer<UInt8>

    init(_ side: LadderRows.Side, places: [Int32]) {
      entries = .allocate(capacity: places.count)
      for (place, row) in places.enumerated() {
        (entries + place).initialize(
          to: Entry(place: row, slope: side.slopes[place], intercept: side.intercepts[place]))
      }
      starts = .allocate(capacity: side.starts.count)
      _ = UnsafeMutableBufferPointer(start: starts, count: side.starts.count).initialize(from: side.starts)
      counts = .allocate(capacity: side.counts.count)
      _ = UnsafeMutableBufferPointer(start: counts, count: side.counts.count).initialize(from: side.counts)
    }

    func deallocate() {
      entries.deallocate()
      starts.deallocate()
      counts.deallocate()
    }
  }
  let counting: Side
  let ending: Side
  /// Rising.
  let coefficients: UnsafeMutablePointer<Float>
  /// Number of coefficients.
  let rungs: Int
  /// The row of the result that the lowest coefficient's sum is.
  let firstRow: Int

  /// Free it with `deallocate`.
  init(_ ladder: LadderRows, counting: [Int32], ending: [Int32], firstRow: Int) {
    self.counting = Side(ladder.counting, places: counting)
    self.ending = Side(ladder.ending, places: ending)
    self.firstRow = firstRow
    rungs = ladder.coefficients.count
    coefficients = .allocate(capacity: rungs)
    _ = UnsafeMutableBufferPointer(start: coefficients, count: rungs).initialize(from: ladder.coefficients)
  }

  func deallocate() {
    counting.deallocate()
    ending.deallocate()
    coefficients.deallocate()
  }
}
