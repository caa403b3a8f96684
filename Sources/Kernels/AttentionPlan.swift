/// Keys and values of a run of positions, packed for one kind of use: per key-value head, keys as panels of 16 positions
/// `[dimension][16]` and values as panels of 16 dimensions `[positions][16]`.
private struct PackedPositions {
  let keys: Matrix
  let values: Matrix
  let count: Int
  let packed: UnsafeMutablePointer<Float>
  let headDimension: Int
  let keyValueHeads: Int

  var keyPanels: Int { (count + 15) / 16 }
  var valuePanels: Int { (headDimension + 15) / 16 }
  private var keySize: Int { keyPanels * 16 * headDimension }
  private var headSize: Int { keySize + valuePanels * 16 * count }

  init(keys: Matrix, values: Matrix, count: Int, shape: AttentionShape) {
    self.keys = keys
    self.values = values
    self.count = count
    headDimension = shape.headDimension
    keyValueHeads = shape.keyValueHeads
    let panels = (count + 15) / 16 * 16 * shape.headDimension + (shape.headDimension + 15) / 16 * 16 * count
    packed = .allocateAligned(panels * shape.keyValueHeads)
  }

  func keyPanel(head: Int, _ panel: Int) -> UnsafeMutablePointer<Float> {
    packed + (head * headSize + panel * 16 * headDimension)
  }

  func valuePanel(head: Int, _ panel: Int) -> UnsafeMutablePointer<Float> {
    packed + (head * headSize + keySize + panel * 16 * count)
  }

  func pack(head: Int) {
    let width = keyValueHeads * headDimension
    keys.elements.withUnsafeBufferPointer { keys in
      values.elements.withUnsafeBufferPointer { values in
        guard count > 0, let keys = keys.baseAddress, let values = values.baseAddress else { return }
        for panel in 0..<keyPanels {
          packTransposed(
            .float32, keys + (panel * 16 * width + head * headDimension), rowBytes: width * 4, steps: headDimension,
            rows: min(16, count - panel * 16), into: keyPanel(head: head, panel))
        }
        packRowMajor(
          .float32, values + head * headDimension, rowBytes: width * 4, steps: count, columns: headDimension,
          into: valuePanel(head: head, 0))
      }
    }
  }
}

/// How one call of `attend` is cut: parts that share a prefix form a group; a unit is some query rows of one group for one
/// key-value head.
struct AttentionPlan {
  /// One query row and one of its heads.
  struct Query {
    var row: Int
    var head: Int
    var position: Int
    var part: Int
  }

  struct Unit {
    var keyValueHead: Int
    var prefix: Int?
    var queries: [Query]
  }

  private(set) var units: [Unit] = []
  private let parts: [AttentionPart]
  private let shape: AttentionShape
  private var prefixes: [PackedPositions] = []
  private var tails: [PackedPositions] = []

  init(parts: [AttentionPart], shape: AttentionShape, pool: ThreadPool) {
    self.parts = parts
    self.shape = shape
    tails = parts.map { PackedPositions(keys: $0.tailKeys, values: $0.tailValues, count: $0.tailCount, shape: shape) }
    var groups: [(prefix: Int?, parts: [Int])] = []
    var known: [PrefixIdentity: Int] = [:]
    for (index, part) in parts.enumerated() {
      guard part.prefixCount > 0, let keys = part.prefixKeys, let values = part.prefixValues else {
        groups.append((nil, [index]))
        continue
      }
      let identity = PrefixIdentity(keys: keys, values: values, count: part.prefixCount)
      if let group = known[identity] {
        groups[group].parts.append(index)
      } else {
        known[identity] = groups.count
        groups.append((prefixes.count, [index]))
        prefixes.append(PackedPositions(keys: keys, values: values, count: part.prefixCount, shape: shape))
      }
    }
    for group in groups { cut(group.parts, prefix: group.prefix, pool) }
  }

  /// Cuts a group's query rows so that a unit's scores stay in the second-level cache.
  private mutating func cut(_ members: [Int], prefix: Int?, _ pool: ThreadPool) {
    let perGroup = shape.heads / shape.keyValueHeads
    let positions = members.map { parts[$0].prefixCount + parts[$0].tailCount }.max() ?? 0
    let rows = members.reduce(0) { $0 + parts[$1].rows.count }
    let share = (rows * perGroup * shape.keyValueHeads + pool.threads * 4 - 1) / (pool.threads * 4)
    let most = max(6, min(96, (1 << 17) / max(1, positions), max(share, 12)))
    for keyValueHead in 0..<shape.keyValueHeads {
      var queries: [Query] = []
      for member in members {
        let part = parts[member]
        for (offset, row) in part.rows.enumerated() {
          for head in keyValueHead * perGroup..<(keyValueHead + 1) * perGroup {
            queries.append(Query(row: row, head: head, position: part.firstPosition + offset, part: member))
          }
          if queries.count >= most {
            units.append(Unit(keyValueHead: keyValueHead, prefix: prefix, queries: queries))
            queries.removeAll(keepingCapacity: true)
          }
        }
      }
      if !queries.isEmpty { units.append(Unit(keyValueHead: keyValueHead, prefix: prefix, queries: queries)) }
    }
  }

  func pack(_ pool: ThreadPool) {
    let all = prefixes + tails
    let heads = shape.keyValueHeads
    pool.divide(all.count * heads) { all[$0 / heads].pack(head: $0 % heads) }
  }

  func deallocate() {
    for positions in prefixes + tails { positions.packed.deallocate() }
  }

  // MARK: One unit

  /// What a unit works with: scores `[queries][stride]`, column j being position `base + j`.
  private struct Scores {
    let values: UnsafeMutablePointer<Float>
    let base: Int
    let stride: Int
  }

  func compute(_ unit: Unit, _ queries: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>) {
    let positions = unit.queries.map(\.position)
    guard let first = positions.min(), let last = positions.max() else { return }
    let base = firstSeen(from: first) & ~15
    // 32 beyond the last position: a panel's padding, then a tail that begins inside it.
    let stride = ((last - base + 1 + 15) & ~15) + 32
    let scores = Scores(values: .allocateAligned(unit.queries.count * stride), base: base, stride: stride)
    defer { scores.values.deallocate() }
    score(unit, scores, queries)
    let sums = unit.queries.indices.map { weigh(unit.queries[$0], scores, row: $0) }
    collect(unit, scores, sums, into: output)
  }

  private func firstSeen(from position: Int) -> Int {
    guard let window = shape.window else { return 0 }
    return max(0, position - window + 1)
  }

  private func score(_ unit: Unit, _ scores: Scores, _ queries: UnsafePointer<Float>) {
    let last = unit.queries.map(\.position).max() ?? 0
    var run = 0
    if let prefix = unit.prefix {
      product(
        unit.queries[...], prefixes[prefix], unit.keyValueHead, positions: scores.base...last, offset: 0, scores,
        queries)
    }
    // Each part's own tail: runs of queries of one part.
    while run < unit.queries.count {
      let part = unit.queries[run].part
      let end = unit.queries[run...].firstIndex { $0.part != part } ?? unit.queries.count
      product(
        unit.queries[run..<end], tails[part], unit.keyValueHead,
        positions: scores.base...(unit.queries[run..<end].map(\.position).max() ?? 0), offset: parts[part].prefixCount,
        scores, queries)
      run = end
    }
  }

  /// Dot products of some queries with the keys of the wanted absolute positions; the keys begin at position `offset`.
  private func product(
    _ members: ArraySlice<Query>, _ keys: PackedPositions, _ keyValueHead: Int, positions: ClosedRange<Int>,
    offset: Int,
    _ scores: Scores, _ queries: UnsafePointer<Float>
  ) {
    let low = max(0, positions.lowerBound - offset)
    let high = min(keys.count - 1, positions.upperBound - offset)
    guard low <= high else { return }
    let dimension = shape.headDimension
    let rowBlocks = RowBlocks(rows: members.count)
    let packed = UnsafeMutablePointer<Float>.allocateAligned(members.count * dimension)
    defer { packed.deallocate() }
    for block in 0..<rowBlocks.count {
      let (start, end) = (rowBlocks.start(block), rowBlocks.start(block + 1))
      let target = packed + start * dimension
      for row in start..<end {
        let query = members[members.startIndex + row]
        let source = queries + (query.row * shape.heads + query.head) * dimension
        for step in 0..<dimension { target[step &* (end &- start) &+ (row &- start)] = source[step] }
      }
    }
    for panel in low / 16...high / 16 {
      // A panel may begin before the first column: its first columns are then not wanted, and go to a place of their own.
      let column = offset + panel * 16 - scores.base
      let top = scores.values + (members.startIndex * scores.stride + column)
      let operands = TileOperands(
        steps: dimension, a: packed, b: keys.keyPanel(head: keyValueHead, panel), c: top, cStride: scores.stride,
        continuing: false)
      if column >= 0, column + 16 <= scores.stride {
        multiplyRowBlocks(0..<rowBlocks.count, of: rowBlocks, operands)
      } else {
        clipped(operands, rowBlocks, columns: max(0, -column)..<min(16, scores.stride - column))
      }
    }
  }

  /// A panel of which only some columns have a place.
  private func clipped(_ operands: TileOperands, _ rowBlocks: RowBlocks, columns: Range<Int>) {
    let edge = UnsafeMutablePointer<Float>.allocateAligned(rowBlocks.rows * 16)
    defer { edge.deallocate() }
    var inner = operands
    inner.c = edge
    inner.cStride = 16
    multiplyRowBlocks(0..<rowBlocks.count, of: rowBlocks, inner)
    for row in 0..<rowBlocks.rows {
      for column in columns { operands.c[row * operands.cStride + column] = edge[row * 16 + column] }
    }
  }

  /// Turns one row of scores into weights and returns their sum.
  private func weigh(_ query: Query, _ scores: Scores, row: Int) -> Float {
    let values = scores.values + row * scores.stride
    let first = firstSeen(from: query.position) - scores.base
    let end = query.position + 1 - scores.base
    scaleElements(values + first, end - first, by: shape.scale)
    if let cap = shape.softcap { softcapElements(values + first, end - first, cap: cap) }
    let largest = largestElement(values + first, end - first)
    let (from, to) = (first & ~15, (end + 15) & ~15)
    (values + from).update(repeating: -.infinity, count: first - from)
    (values + end).update(repeating: -.infinity, count: to - end)
    return exponentiateAndSum(values + from, to - from, shift: largest)
  }

  /// Weights times values, divided by the sums.
  private func collect(_ unit: Unit, _ scores: Scores, _ sums: [Float], into output: UnsafeMutablePointer<Float>) {
    let panels = (shape.headDimension + 15) / 16
    let width = panels * 16
    let result = UnsafeMutablePointer<Float>.allocateAligned(unit.queries.count * width)
    defer { result.deallocate() }
    result.initialize(repeating: 0, count: unit.queries.count * width)
    let rowBlocks = RowBlocks(rows: unit.queries.count)
    if let prefix = unit.prefix {
      for block in 0..<rowBlocks.count {
        accumulate(
          unit, rowBlocks.start(block)..<rowBlocks.start(block + 1), prefixes[prefix], offset: 0, scores, result)
      }
    }
    var run = 0
    while run < unit.queries.count {
      let part = unit.queries[run].part
      var end = run + 1
      while end < unit.queries.count, unit.queries[end].part == part, end - run < 6 { end += 1 }
      accumulate(unit, run..<end, tails[part], offset: parts[part].prefixCount, scores, result)
      run = end
    }
    for (index, query) in unit.queries.enumerated() {
      let target = output + (query.row * shape.heads + query.head) * shape.headDimension
      for i in 0..<shape.headDimension { target[i] = result[index &* width &+ i] / sums[index] }
    }
  }

  /// Goes on with the chains of up to six queries over the positions that each of them sees in `values`: the positions common
  /// to all in one tile, the few before and after row by row.
  private func accumulate(
    _ unit: Unit, _ members: Range<Int>, _ values: PackedPositions, offset: Int, _ scores: Scores,
    _ result: UnsafeMutablePointer<Float>
  ) {
    let seen = members.map { index in
      let position = unit.queries[index].position
      let low = min(values.count, max(0, firstSeen(from: position) - offset))
      return low..<max(low, min(values.count, position + 1 - offset))
    }
    var common = (seen.map(\.lowerBound).max() ?? 0)..<Int.max
    let end = seen.map(\.upperBound).min() ?? 0
    common = common.lowerBound..<max(common.lowerBound, end)
    for panel in 0..<values.valuePanels {
      let b = values.valuePanel(head: unit.keyValueHead, panel)
      func tile(_ rows: Range<Int>, _ positions: Range<Int>) {
        guard !positions.isEmpty else { return }
        multiplyRows(
          rows: rows.count,
          TileOperands(
            steps: positions.count,
            a: scores.values + (rows.lowerBound * scores.stride + offset + positions.lowerBound - scores.base),
            b: b + positions.lowerBound * 16, c: result + (rows.lowerBound * values.valuePanels + panel) * 16,
            cStride: values.valuePanels * 16, continuing: true),
          aStride: scores.stride, bStride: 16)
      }
      if common.isEmpty {
        for (row, range) in zip(members, seen) { tile(row..<row + 1, range) }
      } else {
        for (row, range) in zip(members, seen) { tile(row..<row + 1, range.lowerBound..<common.lowerBound) }
        tile(members, common)
        for (row, range) in zip(members, seen) { tile(row..<row + 1, common.upperBound..<range.upperBound) }
      }
    }
  }
}

/// Two prefixes are the same where they are the same storage.
private struct PrefixIdentity: Hashable {
  let keys: Int
  let values: Int
  let count: Int

  init(keys: Matrix, values: Matrix, count: Int) {
    self.keys = keys.elements.withUnsafeBufferPointer { Int(bitPattern: $0.baseAddress) }
    self.values = values.elements.withUnsafeBufferPointer { Int(bitPattern: $0.baseAddress) }
    self.count = count
  }
}
