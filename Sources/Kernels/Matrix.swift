/// A dense row-major matrix of float32, `[rows, columns]`; a value.
package struct Matrix: Sendable, Equatable {
  package private(set) var rows: Int
  package let columns: Int
  /// `rows * columns` numbers, row after row.
  package var elements: [Float] {
    didSet { precondition(elements.count == rows * columns, "a matrix keeps its shape") }
  }

  package init(rows: Int, columns: Int, repeating value: Float = 0) {
    self.init(rows: rows, columns: columns, elements: Array(repeating: value, count: Matrix.count(rows, columns)))
  }

  /// Precondition: `elements.count == rows * columns`.
  package init(rows: Int, columns: Int, elements: [Float]) {
    precondition(Matrix.count(rows, columns) == elements.count, "elements must fill rows * columns")
    self.rows = rows
    self.columns = columns
    self.elements = elements
  }

  /// A matrix whose elements `fill` writes, all of them, without their being zeroed first.
  init(rows: Int, columns: Int, uninitialised fill: (UnsafeMutablePointer<Float>) -> Void) {
    let count = Matrix.count(rows, columns)
    let elements = [Float](unsafeUninitializedCapacity: count) { buffer, written in
      if let base = buffer.baseAddress { fill(base) }
      written = count
    }
    self.init(rows: rows, columns: columns, elements: elements)
  }

  private static func count(_ rows: Int, _ columns: Int) -> Int {
    precondition(rows >= 0 && columns >= 0, "a matrix has no negative side")
    return rows * columns
  }

  /// The rows as arrays of equal length; `columns` is needed where there are none.
  package init(_ rows: [[Float]], columns: Int) {
    precondition(rows.allSatisfy { $0.count == columns }, "rows must be of one length")
    self.init(rows: rows.count, columns: columns, elements: Array(rows.joined()))
  }

  package subscript(row: Int, column: Int) -> Float {
    get {
      precondition(column >= 0 && column < columns, "no such column")
      return elements[row * columns + column]
    }
    set {
      precondition(column >= 0 && column < columns, "no such column")
      elements[row * columns + column] = newValue
    }
    _modify {
      precondition(column >= 0 && column < columns, "no such column")
      yield &elements[row * columns + column]
    }
  }

  /// A copy of one row, `[columns]`.
  package func row(_ index: Int) -> [Float] { Array(elements[index * columns..<(index + 1) * columns]) }

  /// A copy of consecutive rows, `[range.count, columns]`.
  package func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "no such rows")
    return Matrix(
      rows: range.count, columns: columns,
      elements: Array(elements[range.lowerBound * columns..<range.upperBound * columns]))
  }

  /// The named rows in the order given, `[indices.count, columns]`.
  package func gathering(rows indices: [Int]) -> Matrix {
    var gathered: [Float] = []
    gathered.reserveCapacity(indices.count * columns)
    for index in indices { gathered.append(contentsOf: elements[index * columns..<(index + 1) * columns]) }
    return Matrix(rows: indices.count, columns: columns, elements: gathered)
  }

  package mutating func setRow(_ index: Int, _ values: [Float]) {
    precondition(values.count == columns && index >= 0 && index < rows, "a row keeps its length")
    elements.replaceSubrange(index * columns..<(index + 1) * columns, with: values)
  }

  /// Adds rows at the end, in amortised constant time each.
  package mutating func append(rows more: Matrix) {
    precondition(more.columns == columns, "rows must be of one length")
    rows += more.rows
    elements.append(contentsOf: more.elements)
  }

  package mutating func reserve(rows: Int) { elements.reserveCapacity(rows * columns) }

  /// `[columns, rows]`.
  package func transposed() -> Matrix {
    Matrix(
      rows: columns, columns: rows,
      uninitialised: { target in
        elements.withUnsafeBufferPointer { source in
          guard let source = source.baseAddress else { return }
          // Blocks of 16 x 16, so that neither side is walked a cache line at a time.
          for top in stride(from: 0, to: rows, by: 16) {
            for left in stride(from: 0, to: columns, by: 16) {
              for row in top..<min(rows, top + 16) {
                for column in left..<min(columns, left + 16) {
                  target[column &* rows &+ row] = source[row &* columns &+ column]
                }
              }
            }
          }
        }
      })
  }
}
