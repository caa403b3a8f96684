internal import Kernels

/// Where the rows of a batch belong: which sequence, which position.
struct BatchLayout {
  /// The rows of each sequence.
  let ranges: [Range<Int>]
  /// The rows of the sequence before it that each sequence begins with; empty where it shares none.
  let shared: [Range<Int>]
  /// What each sequence's cache held before this pass.
  let cached: [Int]
  /// The position of each sequence's first row of its own.
  let starts: [Int]
  /// The position of every row.
  let positions: [Int]

  var rows: Int { positions.count }

  init(parts: [BatchPart], caches: [KeyValueCache], block: Int, of blocks: Int) {
    precondition(parts.count == caches.count, "every part needs a cache")
    var ranges: [Range<Int>] = []
    var shared: [Range<Int>] = []
    var first = 0
    for part in parts {
      precondition(part.rows >= 0 && part.shared >= 0, "a part has rows")
      precondition(
        part.shared == 0 || shared.last?.isEmpty == true && part.shared <= ranges[ranges.count - 1].count,
        "only rows that the part before runs itself can be shared")
      let source = ranges.last?.lowerBound ?? 0
      shared.append(source..<source + part.shared)
      ranges.append(first..<first + part.rows)
      first += part.rows
    }
    self.ranges = ranges
    self.shared = shared
    cached = caches.map { block < blocks ? $0.count(block: block) : 0 }
    let starts = zip(cached, parts).map { $0 + $1.shared }
    self.starts = starts
    positions = zip(ranges, starts).flatMap { rows, start in rows.indices.map { start + $0 - rows.lowerBound } }
  }

  /// What attention needs to know of each sequence, after this pass's keys and values joined the caches. Rows that are not wanted
  /// ask nothing; the wanted ones of a sequence fall into runs of neighbours, a part each.
  func attentionParts(block: Int, wanted: WantedRows, caches: [KeyValueCache]) -> [AttentionPart] {
    var parts: [AttentionPart] = []
    var firstQuery = 0
    for (index, range) in ranges.enumerated() {
      let stored = caches[index].blocks[block]
      for run in wanted.runs(within: range, after: firstQuery) {
        parts.append(
          AttentionPart(
            rows: firstQuery..<firstQuery + run.count, firstPosition: starts[index] + run.lowerBound - range.lowerBound,
            prefixKeys: stored.prefixKeys, prefixValues: stored.prefixValues, prefixCount: stored.prefixCount,
            tailKeys: stored.keys, tailValues: stored.values, tailCount: stored.keys.rows))
        firstQuery += run.count
      }
    }
    return parts
  }
}

/// The rows that a block has to deliver: all, or some in rising order.
enum WantedRows {
  case all
  case some([Int])

  /// What the last block of a run has to deliver: what is wanted after it and what is kept of it.
  init(_ run: BlockRun, lastBlock: Int, rows: Int) {
    guard let final = run.finalRows else {
      self = .all
      return
    }
    var wanted = Set(final)
    if run.capturedLayers.contains(lastBlock) {
      guard let captured = run.capturedRows else {
        self = .all
        return
      }
      wanted.formUnion(captured)
    }
    precondition(wanted.allSatisfy { $0 >= 0 && $0 < rows }, "no such rows in the batch")
    self = .some(wanted.sorted())
  }

  /// The wanted rows of a matrix of all rows.
  func gather(_ all: Matrix) -> Matrix {
    guard case .some(let rows) = self else { return all }
    return all.gathering(rows: rows)
  }

  /// The wanted ones of one value a row.
  func gather(_ all: [Int]) -> [Int] {
    guard case .some(let rows) = self else { return all }
    return rows.map { all[$0] }
  }

  /// Rows of the batch out of a matrix of the wanted rows; nil for all that are wanted.
  func select(_ rows: [Int]?, of matrix: Matrix) -> Matrix {
    guard let rows else { return matrix }
    guard case .some(let wanted) = self else { return matrix.gathering(rows: rows) }
    if rows == wanted { return matrix }
    let places = Dictionary(uniqueKeysWithValues: wanted.enumerated().map { ($1, $0) })
    return matrix.gathering(rows: rows.compactMap { places[$0] })
  }

  /// Steers those rows of a matrix of the wanted rows that the addition names.
  func apply(_ addition: ResidualAddition, to matrix: inout Matrix) {
    var addition = addition
    if case .some(let wanted) = self {
      let places = Dictionary(uniqueKeysWithValues: wanted.enumerated().map { ($1, $0) })
      addition.rows = addition.rows.compactMap { places[$0] }
    }
    addition.apply(to: &matrix)
  }

  /// The wanted rows of `range` as ranges without gaps; the first `after` wanted rows lie before it.
  func runs(within range: Range<Int>, after: Int) -> [Range<Int>] {
    guard case .some(let rows) = self else { return range.isEmpty ? [] : [range] }
    var runs: [Range<Int>] = []
    for row in rows[after...].prefix(while: range.contains) {
      if let last = runs.last, last.upperBound == row {
        runs[runs.count - 1] = last.lowerBound..<row + 1
      } else {
        runs.append(row..<row + 1)
      }
    }
    return runs
  }
}
