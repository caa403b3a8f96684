/// The next block of a row-major right factor on its way into strips of panels, `[steps][panels of a tile][16]`: the tiles that
/// multiply the present block copy it piece by piece, so that memory delivers while they compute.
///
/// A piece is one step of one strip. Some rows give theirs in turn, strip by strip. Rows that are left over at the block's end are
/// not among them.
struct PackAhead {
  let type: ElementType
  /// Where the next part begins.
  private var part: Part
  /// Pieces and strips of tiles that are still to come.
  private var pieces: Int
  private var stripsToCome: Int
  /// Pieces that tiles of the present strip have taken.
  private var takenOfStrip = 0

  /// - Parameters:
  ///   - source: the block's first element.
  ///   - target: receives the strips.
  ///   - hosts: strips of the present block, whose tiles share the work.
  init(
    _ type: ElementType, _ source: UnsafeRawPointer, rowBytes: Int, steps: Int, strips: Int,
    into target: UnsafeMutablePointer<Float>, hosts: Int
  ) {
    let rows = PackAhead.rowsInTurn
    self.type = type
    pieces = strips * (steps / rows * rows)
    stripsToCome = hosts
    let (step, column) = (TileShape.panels * 64, TileShape.panels * 16 * type.bytes)
    part = Part(
      from: source, into: UnsafeMutableRawPointer(target), strips: strips, rowsInTurn: rows, rowBytes: rowBytes,
      stepBytes: step, bytesAhead: PackAhead.rowsAhead * rowBytes,
      toNextStrip: (column - rows * rowBytes, (steps - rows) * step),
      toNextRows: (rows * rowBytes - strips * column, (rows - strips * steps) * step))
  }

  /// So many rows give their pieces in turn: several streams come from memory side by side.
  static let rowsInTurn = 4
  /// Rows between what is packed and what is asked for.
  private static let rowsAhead = 8

  /// Some pieces, one after the other.
  struct Part {
    /// The first one's place, in bytes and in the order of pieces.
    private(set) var from: UnsafeRawPointer
    private(set) var into: UnsafeMutableRawPointer
    private(set) var strip = 0
    private(set) var row = 0
    fileprivate(set) var pieces = 0
    let strips: Int
    let rowsInTurn: Int
    /// Bytes from a piece to that of the next row, read and written.
    let rowBytes: Int
    let stepBytes: Int
    /// Bytes to what is asked for.
    let bytesAhead: Int
    /// Bytes from beyond the last row in turn to the first one's next piece, and from beyond the last strip to the next rows' first.
    let toNextStrip: (from: Int, into: Int)
    let toNextRows: (from: Int, into: Int)

    fileprivate init(
      from: UnsafeRawPointer, into: UnsafeMutableRawPointer, strips: Int, rowsInTurn: Int, rowBytes: Int,
      stepBytes: Int, bytesAhead: Int, toNextStrip: (Int, Int), toNextRows: (Int, Int)
    ) {
      (self.from, self.into, self.strips, self.rowsInTurn) = (from, into, strips, rowsInTurn)
      (self.rowBytes, self.stepBytes, self.bytesAhead) = (rowBytes, stepBytes, bytesAhead)
      (self.toNextStrip, self.toNextRows) = (toNextStrip, toNextRows)
    }

    fileprivate mutating func skip(_ count: Int) {
      row += count
      let columns = row / rowsInTurn
      row -= columns * rowsInTurn
      strip += columns
      let rounds = strip / strips
      strip -= rounds * strips
      from += count * rowBytes + columns * toNextStrip.from + rounds * toNextRows.from
      into += count * stepBytes + columns * toNextStrip.into + rounds * toNextRows.into
    }
  }

  /// What the next tiles of a strip pack, before `later` other ones of the same strip.
  mutating func take(tiles: Int, later: Int) -> Part {
    precondition(stripsToCome > 0, "no strip is left to pack beside")
    let share = (pieces + takenOfStrip + stripsToCome - 1) / stripsToCome
    let part = take(min(pieces, later == 0 ? share - takenOfStrip : share * tiles / (tiles + later)))
    takenOfStrip += part.pieces
    if later == 0 { (stripsToCome, takenOfStrip) = (stripsToCome - 1, 0) }
    return part
  }

  /// What no tile has taken.
  mutating func rest() -> Part { take(pieces) }

  private mutating func take(_ count: Int) -> Part {
    var taken = part
    taken.pieces = count
    pieces -= count
    if pieces > 0 { part.skip(count) }
    return taken
  }
}
