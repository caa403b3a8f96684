/// Keys and values of a run of positions, packed for one kind of use: per key-value head, keys as panels of 16 positions
/// `[dimension][16]` and values as panels of 16 dimensions `[positions][16]`.
///
/// Plain numbers: it is looked up for every run of queries, and the matrices would be retained each time.
private struct PackedPositions {
  let count: Int
  let packed: UnsafeMutablePointer<Float>
  let headDimension: Int
  let keyValueHeads: Int

  var keyPanels: Int { (count + 15) / 16 }
  var valuePanels: Int { (headDimension + 15) / 16 }
  private var keySize: Int { keyPanels * 16 * headDimension }
  private var headSize: Int { keySize + (packsValues ? valuePanels * 16 * count : 0) }
  /// Whether the values are packed too. A few queries read them in place, where heads are whole panels.
  let packsValues: Bool

  init(count: Int, queries: Int, shape: AttentionShape) {
    self.count = count
    packsValues = queries > TileShape.rows || shape.headDimension % 16 != 0
    headDimension = shape.headDimension
    keyValueHeads = shape.keyValueHeads
    let keys = (count + 15) / 16 * 16 * shape.headDimension
    let values = packsValues ? (shape.headDimension + 15) / 16 * 16 * count : 0
    packed = .allocateAligned((keys + values) * shape.keyValueHeads)
  }

  func keyPanel(head: Int, _ panel: Int) -> UnsafeMutablePointer<Float> {
    packed + (head * headSize + panel * 16 * headDimension)
  }

  /// How the values of one head lie: from which address on, floats from one position to the next, and bytes from one panel of
  /// dimensions to the next. Values that were not packed lie in `rows`.
  func valueOrder(head: Int, rows: UnsafePointer<Float>?) -> (base: UnsafePointer<Float>, stride: Int, panelStride: Int)
  {
    if packsValues { return (UnsafePointer(packed + (head * headSize + keySize)), 16, count * 64) }
    return ((rows ?? UnsafePointer(packed)) + head * headDimension, keyValueHeads * headDimension, 64)
  }

  func pack(_ keys: Matrix, _ values: Matrix, head: Int) {
    let width = keyValueHeads * headDimension
    keys.elements.withUnsafeBufferPointer { keys in
      values.elements.withUnsafeBufferPointer { values in
        guard count > 0, let keys = keys.baseAddress, let values = values.baseAddress else { return }
        for panel in 0..<keyPanels {
          packTransposed(
            .float32, keys + (panel * 16 * width + head * headDimension), rowBytes: width * 4, steps: headDimension,
            rows: min(16, count - panel * 16), into: keyPanel(head: head, panel))
        }
        guard packsValues else { return }
        packRowMajor(
          values + head * headDimension, rowStride: width, steps: count, columns: headDimension,
          into: packed + (head * headSize + keySize))
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
  private var prefixOwners: [Int] = []
  private var tails: [PackedPositions] = []

  init(parts: [AttentionPart], shape: AttentionShape, pool: ThreadPool) {
    self.parts = parts
    self.shape = shape
    tails = parts.map {
      PackedPositions(
        count: $0.tailCount, queries: $0.rows.count * shape.heads / shape.keyValueHeads, shape: shape)
    }
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
        prefixes.append(PackedPositions(count: part.prefixCount, queries: .max, shape: shape))
        prefixOwners.append(index)
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
    let heads = shape.keyValueHeads
    pool.divide(prefixes.count * heads) { task in
      let part = parts[prefixOwners[task / heads]]
      guard let keys = part.prefixKeys, let values = part.prefixValues else { return }
      prefixes[task / heads].pack(keys, values, head: task % heads)
    }
    // Most tails are a few rows: a thread takes several.
    pool.divide((tails.count + 7) / 8) { task in
      for index in task * 8..<min(tails.count, task * 8 + 8) {
        for head in 0..<heads { tails[index].pack(parts[index].tailKeys, parts[index].tailValues, head: head) }
      }
    }
  }

  func deallocate() {
    for positions in prefixes + tails { positions.packed.deallocate() }
  }

  // MARK: One unit

  /// What a unit works with: its queries, and scores `[queries][stride]`, column j being position `base + j`.
  private struct Work {
    let queries: UnsafeBufferPointer<Query>
    let scores: UnsafeMutablePointer<Float>
    let base: Int
    let stride: Int
    /// Packed queries `[row block][dimension][rows]`.
    let packed: UnsafeMutablePointer<Float>
    /// Sums of weight * value, `[queries][dimension, in whole panels]`.
    let sums: UnsafeMutablePointer<Float>
  }

  func compute(_ unit: Unit, _ queries: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>) {
    unit.queries.withUnsafeBufferPointer { members in
      var (first, last) = (Int.max, 0)
      for query in members { (first, last) = (min(first, query.position), max(last, query.position)) }
      let base = firstSeen(from: first) & ~15
      // 32 beyond the last position: a panel's padding, then a tail that begins inside it.
      let stride = ((last - base + 1 + 15) & ~15) + 32
      let width = (shape.headDimension + 15) / 16 * 16
      let work = Work(
        queries: members, scores: .allocateAligned(members.count * stride), base: base, stride: stride,
        packed: .allocateAligned(members.count * shape.headDimension), sums: .allocateAligned(members.count * width))
      work.sums.initialize(repeating: 0, count: members.count * width)
      score(unit, work, queries)
      collect(unit, work, into: output)
      work.scores.deallocate()
      work.packed.deallocate()
      work.sums.deallocate()
    }
  }

  private func firstSeen(from position: Int) -> Int {
    guard let window = shape.window else { return 0 }
    return max(0, position - window + 1)
  }

  /// Calls `body` for every run of queries of one part.
  private func forEachRun(_ work: Work, longest: Int = .max, _ body: (Range<Int>, Int) -> Void) {
    var start = 0
    while start < work.queries.count {
      let part = work.queries[start].part
      var end = start + 1
      while end < work.queries.count, end - start < longest, work.queries[end].part == part { end += 1 }
      body(start..<end, part)
      start = end
    }
  }

  private func score(_ unit: Unit, _ work: Work, _ queries: UnsafePointer<Float>) {
    if let prefix = unit.prefix {
      multiplyKeys(0..<work.queries.count, prefixes[prefix], unit.keyValueHead, offset: 0, work, queries)
    }
    forEachRun(work) { run, part in
      multiplyKeys(run, tails[part], unit.keyValueHead, offset: parts[part].prefixCount, work, queries)
    }
  }

  /// Scores of some queries against the positions that any of them sees; the keys begin at absolute position `offset`.
  private func multiplyKeys(
    _ members: Range<Int>, _ keys: PackedPositions, _ keyValueHead: Int, offset: Int, _ work: Work,
    _ queries: UnsafePointer<Float>
  ) {
    var last = 0
    for index in members { last = max(last, work.queries[index].position) }
    let (low, high) = (max(0, work.base - offset), min(keys.count - 1, last - offset))
    guard low <= high else { return }
    let dimension = shape.headDimension
    let rowBlocks = RowBlocks(rows: members.count)
    for block in 0..<rowBlocks.count {
      let (start, end) = (rowBlocks.start(block), rowBlocks.start(block + 1))
      let target = work.packed + start * dimension
      for row in start..<end {
        let query = work.queries[members.lowerBound + row]
        let source = queries + (query.row * shape.heads + query.head) * dimension
        for step in 0..<dimension { target[step &* (end &- start) &+ (row &- start)] = source[step] }
      }
    }
    var panel = low / 16
    while panel <= high / 16 {
      let column = offset + panel * 16 - work.base
      var operands = TileOperands(
        steps: dimension, a: work.packed, b: keys.keyPanel(head: keyValueHead, panel), panelStride: dimension * 64,
        c: work.scores + (members.lowerBound * work.stride + column), cStride: work.stride, continuing: false)
      let together = min(TileShape.panels, high / 16 + 1 - panel)
      if column >= 0, column + together * 16 <= work.stride {
        multiplyRowBlocks(rowBlocks, panels: together, operands)
        panel += together
        continue
      }
      operands.panelStride = 0
      if column >= 0, column + 16 <= work.stride {
        multiplyRowBlocks(rowBlocks, panels: 1, operands)
      } else {
        clipped(operands, rowBlocks, columns: max(0, -column)..<min(16, work.stride - column))
      }
      panel += 1
    }
  }

  /// A panel of which only some columns have a place: a window begins inside it.
  private func clipped(_ operands: TileOperands, _ rowBlocks: RowBlocks, columns: Range<Int>) {
    let edge = UnsafeMutablePointer<Float>.allocateAligned(rowBlocks.rows * 16)
    defer { edge.deallocate() }
    var inner = operands
    inner.c = edge
    inner.cStride = 16
    multiplyRowBlocks(rowBlocks, panels: 1, inner)
    for row in 0..<rowBlocks.rows {
      for column in columns { operands.c[row * operands.cStride + column] = edge[row * 16 + column] }
    }
  }

  /// Turns scores into weights, adds up weights times values, and divides by the weights' sums.
  private func collect(_ unit: Unit, _ work: Work, into output: UnsafeMutablePointer<Float>) {
    let dimension = shape.headDimension
    let width = (dimension + 15) / 16 * 16
    withUnsafeTemporaryAllocation(of: Float.self, capacity: work.queries.count) { totals in
      for (index, query) in work.queries.enumerated() {
        let total = weighScores(
          work.scores + index * work.stride, first: firstSeen(from: query.position) - work.base,
          end: query.position + 1 - work.base, scale: shape.scale, softcap: shape.softcap)
        totals.initializeElement(at: index, to: total)
      }
      if let prefix = unit.prefix {
        let rowBlocks = RowBlocks(rows: work.queries.count)
        for block in 0..<rowBlocks.count {
          addValues(
            rowBlocks.start(block)..<rowBlocks.start(block + 1), prefixes[prefix], nil, unit.keyValueHead, offset: 0,
            work)
        }
      }
      forEachRun(work, longest: TileShape.rows) { run, part in
        parts[part].tailValues.elements.withUnsafeBufferPointer { rows in
          addValues(
            run, tails[part], rows.baseAddress, unit.keyValueHead, offset: parts[part].prefixCount, work)
        }
      }
      for (index, query) in work.queries.enumerated() {
        let target = output + (query.row * shape.heads + query.head) * dimension
        let total = totals[index]
        for i in 0..<dimension { target[i] = work.sums[index &* width &+ i] / total }
      }
    }
  }

  /// Goes on with the chains of a tile of queries over the positions that each of them sees in `values`: the positions common
  /// to all in one tile, the few before and after row by row.
  private func addValues(
    _ members: Range<Int>, _ values: PackedPositions, _ rows: UnsafePointer<Float>?, _ keyValueHead: Int, offset: Int,
    _ work: Work
  ) {
    func seen(_ index: Int) -> Range<Int> {
      let position = work.queries[index].position
      let low = min(values.count, max(0, firstSeen(from: position) - offset))
      return low..<max(low, min(values.count, position + 1 - offset))
    }
    var (low, high) = (0, values.count)
    for index in members {
      let range = seen(index)
      (low, high) = (max(low, range.lowerBound), min(high, range.upperBound))
    }
    let panels = values.valuePanels
    let order = values.valueOrder(head: keyValueHead, rows: rows)
    func tile(_ rows: Range<Int>, _ positions: Range<Int>) {
      guard !positions.isEmpty else { return }
      var panel = 0
      while panel < panels {
        let together = panels - panel >= panelsAtOnce(rows: rows.count) ? panelsAtOnce(rows: rows.count) : 1
        multiplyRows(
          rows: rows.count, panels: together,
          TileOperands(
            steps: positions.count,
            a: work.scores + (rows.lowerBound * work.stride + offset + positions.lowerBound - work.base),
            b: UnsafeRawPointer(order.base + positions.lowerBound * order.stride) + panel * order.panelStride,
            panelStride: order.panelStride, c: work.sums + (rows.lowerBound * panels + panel) * 16,
            cStride: panels * 16, continuing: true),
          aStride: work.stride, bStride: order.stride)
        panel += together
      }
    }
    guard low < high else {
      for index in members { tile(index..<index + 1, seen(index)) }
      return
    }
    for index in members where seen(index).lowerBound < low {
      tile(index..<index + 1, seen(index).lowerBound..<low)
    }
    tile(members, low..<high)
    for index in members where seen(index).upperBound > high {
      tile(index..<index + 1, high..<seen(index).upperBound)
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
