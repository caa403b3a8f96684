/// The next block of a row-major right factor on its way into strips of panels, `[steps][panels of a tile][16]`: the tiles that
/// multiply the present block copy it piece by piece, so that memory delivers while they compute.
///
/// Pieces are taken from some rows in turn, along the rows. Rows that are left over at the block's end are not among them.
struct PackAhead {
  let type: ElementType
  /// Where the next part begins.
  private var part: Part
  /// Pieces and strips of tiles that are still to come.
  private var pieces: Int
  private var stripsToCome: Int

  /// - Parameters:
  ///   - source: the block's first element.
  ///   - target: receives the strips.
  ///   - hosts: strips of the present block, whose tiles share the work.
  init(
    _ type: ElementType, _ source: UnsafeRawPointer, rowBytes: Int, steps: Int, strips: Int,
    into target: UnsafeMutablePointer<Float>, hosts: Int
  ) {
    self.type = type
    pieces = max(0, strips) * (steps / PackedPiece.rows * PackedPiece.rows)
    stripsToCome = hosts
    part = Part(
      from: source, into: UnsafeMutableRawPointer(target), pieces: 0, strip: 0, row: 0, strips: max(0, strips),
      rowBytes: rowBytes, stripBytes: steps * PackedPiece.bytes, columnBytes: TileShape.panels * 16 * type.bytes)
  }

  /// Some pieces, one after the other.
  struct Part {
    fileprivate(set) var from: UnsafeRawPointer
    fileprivate(set) var into: UnsafeMutableRawPointer
    fileprivate(set) var pieces: Int
    fileprivate(set) var strip: Int
    /// Of the rows that take turns.
    fileprivate(set) var row: Int
    let strips: Int
    let rowBytes: Int
    let stripBytes: Int
    fileprivate let columnBytes: Int

    fileprivate mutating func skip(_ count: Int) {
      row += count
      from += count * rowBytes
      into += count * PackedPiece.bytes
      let columns = row / PackedPiece.rows
      row -= columns * PackedPiece.rows
      from += columns * (columnBytes - PackedPiece.rows * rowBytes)
      into += columns * (stripBytes - PackedPiece.rows * PackedPiece.bytes)
      strip += columns
      let rounds = strip / strips
      strip -= rounds * strips
      from += rounds * (PackedPiece.rows * rowBytes - strips * columnBytes)
      into += rounds * (PackedPiece.rows * PackedPiece.bytes - strips * stripBytes)
    }
  }

  /// What the next tiles of a strip pack, before `later` other ones of the same strip.
  mutating func take(tiles: Int, later: Int) -> Part {
    let share = (pieces + stripsToCome - 1) / max(1, stripsToCome)
    if later == 0 { stripsToCome -= 1 }
    return take(min(pieces, later == 0 ? share : share * tiles / (tiles + later)))
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
