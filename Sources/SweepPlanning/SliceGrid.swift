internal import SweepRecords

/// Items (questions, contexts) x variants, cut into tasks of about the seconds that a task should take.
struct SliceGrid {
  struct Cell: Equatable {
    let items: Range<Int>
    let variants: Range<Int>
    let seconds: Double
  }

  /// The most slices that one score reduces, as long as none gets too long by that.
  static let sliceLimit = 2000

  let cells: [Cell]

  /// - Parameters:
  ///   - perItem: seconds of an item whatever the variants.
  ///   - perVariant: seconds of an item for each variant.
  init(items: Int, variants: Int, perItem: Double, perVariant: Double) {
    let whole = perItem + perVariant * Double(variants)
    if whole <= TaskCost.target {
      let wanted = max(TaskCost.slice(unit: whole, in: 1...1024), (items + Self.sliceLimit - 1) / Self.sliceLimit)
      let size = whole > 0 ? min(wanted, max(Int(min(TaskCost.limit / whole, 1e9)), 1)) : wanted
      cells = items.slices(of: size).map {
        Cell(items: $0, variants: 0..<variants, seconds: whole * Double($0.count))
      }
    } else {
      // An item with all variants would take too long: cut the variants too.
      let chosen = variants.slices(of: TaskCost.slice(unit: perVariant, in: 1...max(variants, 1)))
      cells = items.slices(of: 1).flatMap { item in
        chosen.map { Cell(items: item, variants: $0, seconds: perItem + perVariant * Double($0.count)) }
      }
    }
  }
}

extension SliceGrid.Cell {
  /// What the score needs to know of the task that computes this cell.
  func slice(of source: InputReference, from: Int, to: Int) -> ScoreWork.Slice {
    ScoreWork.Slice(
      source: source, from: from, to: to, firstVariant: variants.lowerBound, variantCount: variants.count)
  }
}
