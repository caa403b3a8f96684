/// Sparse rows (CSR): row r has the entries `rowStarts[r]..<rowStarts[r + 1]`, column indices rising. A value.
package struct SparseRows: Sendable, Equatable {
  package let columns: Int
  package private(set) var rowStarts: [Int]
  package private(set) var indices: [Int32]
  package var values: [Float] {
    didSet { precondition(values.count == indices.count, "one value an entry") }
  }

  package var rows: Int { rowStarts.count - 1 }

  /// Precondition: starts rise from 0 to the number of entries, indices rise strictly within a row and are columns.
  package init(columns: Int, rowStarts: [Int], indices: [Int32], values: [Float]) {
    precondition(columns >= 0 && indices.count == values.count, "one value an entry")
    precondition(rowStarts.first == 0 && rowStarts.last == indices.count, "starts run from 0 to the number of entries")
    for row in 0..<rowStarts.count - 1 {
      precondition(rowStarts[row] <= rowStarts[row + 1], "starts must rise")
      var last: Int32 = -1
      for entry in rowStarts[row]..<rowStarts[row + 1] {
        precondition(indices[entry] > last && indices[entry] < columns, "indices must rise within the columns")
        last = indices[entry]
      }
    }
    self.columns = columns
    self.rowStarts = rowStarts
    self.indices = indices
    self.values = values
  }

  /// No rows.
  package init(columns: Int) { self.init(columns: columns, rowStarts: [0], indices: [], values: []) }

  /// The elements that `isActive` accepts; by default those that are not zero. NaN is not zero.
  package init(_ dense: Matrix, where isActive: (Float) -> Bool = { $0 != 0 }) {
    columns = dense.columns
    rowStarts = [0]
    indices = []
    values = []
    for row in 0..<dense.rows {
      for column in 0..<dense.columns {
        let value = dense.elements[row &* dense.columns &+ column]
        if isActive(value) {
          indices.append(Int32(truncatingIfNeeded: column))
          values.append(value)
        }
      }
      rowStarts.append(indices.count)
    }
  }

  /// The k largest elements of every row that are above zero: the code of a TopK SAE from its pre-activations.
  package init(topK k: Int, of preActivations: Matrix, pool: ThreadPool) {
    let chosen = topKRows(preActivations, k, pool: pool)
    columns = preActivations.columns
    rowStarts = [0]
    indices = []
    values = []
    indices.reserveCapacity(preActivations.rows * k)
    values.reserveCapacity(preActivations.rows * k)
    for row in 0..<preActivations.rows {
      for column in chosen[row].sorted() {
        let value = preActivations.elements[row * columns + column]
        if !(value <= 0) {
          indices.append(Int32(truncatingIfNeeded: column))
          values.append(value)
        }
      }
      rowStarts.append(indices.count)
    }
  }

  /// Some of the rows, `[rows.count, columns]`. O(their entries).
  func some(_ rows: Range<Int>) -> SparseRows {
    let entries = rowStarts[rows.lowerBound]..<rowStarts[rows.upperBound]
    return SparseRows(
      columns: columns, rowStarts: rowStarts[rows.lowerBound...rows.upperBound].map { $0 - entries.lowerBound },
      indices: Array(indices[entries]), values: Array(values[entries]))
  }

  /// The transpose: row j lists the rows that have column j, rising. O(entries + columns).
  package func transposed() -> SparseRows {
    var starts = [Int](repeating: 0, count: columns + 1)
    for index in indices { starts[Int(index) + 1] += 1 }
    for column in 0..<columns { starts[column + 1] += starts[column] }
    var next = starts
    var targetIndices = [Int32](repeating: 0, count: indices.count)
    var targetValues = [Float](repeating: 0, count: indices.count)
    for row in 0..<rows {
      for entry in rowStarts[row]..<rowStarts[row + 1] {
        let column = Int(indices[entry])
        targetIndices[next[column]] = Int32(truncatingIfNeeded: row)
        targetValues[next[column]] = values[entry]
        next[column] += 1
      }
    }
    return SparseRows(
      unchecked: rows, rowStarts: starts, indices: targetIndices, values: targetValues)
  }

  private init(unchecked columns: Int, rowStarts: [Int], indices: [Int32], values: [Float]) {
    self.columns = columns
    self.rowStarts = rowStarts
    self.indices = indices
    self.values = values
  }

  /// The same entries with other values.
  package func replacing(values: [Float]) -> SparseRows {
    precondition(values.count == indices.count, "one value an entry")
    return SparseRows(unchecked: columns, rowStarts: rowStarts, indices: indices, values: values)
  }

  /// The values of every column added up over ascending rows in one chain, `[columns]`.
  package func columnSums() -> [Float] {
    var sums = [Float](repeating: 0, count: columns)
    for (index, value) in zip(indices, values) { sums[Int(index)] += value }
    return sums
  }

  /// `[rows, columns]`, zeros where there is no entry.
  package func dense() -> Matrix {
    var matrix = Matrix(rows: rows, columns: columns)
    for row in 0..<rows {
      for entry in rowStarts[row]..<rowStarts[row + 1] { matrix[row, Int(indices[entry])] = values[entry] }
    }
    return matrix
  }
}

/// `codes D + bias`: every element one chain over ascending feature index, starting at the bias or +0. D is `[columns, d]`.
///
/// Also the gradient of a decoder from transposed codes and residuals, `codes^T r`. O(entries * d).
package func sparseDecode(codes: SparseRows, decoder: Matrix, bias: [Float]? = nil, pool: ThreadPool) -> Matrix {
  precondition(decoder.rows == codes.columns, "one decoder row a column")
  precondition(bias.map { $0.count == decoder.columns } ?? true, "the bias is a row")
  let d = decoder.columns
  return Matrix(rows: codes.rows, columns: d) { target in
    decoder.elements.withUnsafeBufferPointer { decoder in
      let average = max(1, codes.indices.count / max(1, codes.rows))
      forEachRowGroup(codes.rows, d * average, pool) { row in
        let out = target + row * d
        if let bias {
          for i in 0..<d { out[i] = bias[i] }
        } else {
          out.update(repeating: 0, count: d)
        }
        guard let decoder = decoder.baseAddress else { return }
        for entry in codes.rowStarts[row]..<codes.rowStarts[row + 1] {
          addScaled(codes.values[entry], decoder + Int(codes.indices[entry]) * d, to: out, d)
        }
      }
    }
  }
}

/// The 16-lane products of row r of x with the decoder rows that row r of `codes` names, one an entry: the gradient of the
/// loss by the active codes, when x is its gradient by the reconstruction. O(entries * d).
package func sparseProject(_ x: Matrix, decoder: Matrix, at codes: SparseRows, pool: ThreadPool) -> SparseRows {
  precondition(
    decoder.rows == codes.columns && x.rows == codes.rows && x.columns == decoder.columns, "shapes must agree")
  let d = x.columns
  let values = [Float](unsafeUninitializedCapacity: codes.indices.count) { target, written in
    x.elements.withUnsafeBufferPointer { x in
      decoder.elements.withUnsafeBufferPointer { decoder in
        let average = max(1, codes.indices.count / max(1, codes.rows))
        forEachRowGroup(codes.rows, d * average, pool) { row in
          for entry in codes.rowStarts[row]..<codes.rowStarts[row + 1] {
            var value: Float = 0
            if let x = x.baseAddress, let decoder = decoder.baseAddress {
              value = dot(x + row * d, decoder + Int(codes.indices[entry]) * d, d)
            }
            target.initializeElement(at: entry, to: value)
          }
        }
      }
    }
    written = codes.indices.count
  }
  return codes.replacing(values: values)
}

/// The distinct ones of some indices below `width`, rising. O(count + width / 64).
package func rising(_ indices: [Int32], below width: Int) -> [Int32] {
  var marks = [UInt64](repeating: 0, count: (width + 63) / 64)
  var count = 0
  for index in indices {
    precondition(index >= 0 && Int(index) < width, "an index lies below the width")
    let (word, bit) = (Int(index) >> 6, UInt64(1) << UInt64(index & 63))
    if marks[word] & bit == 0 { count &+= 1 }
    marks[word] |= bit
  }
  return [Int32](unsafeUninitializedCapacity: count) { target, written in
    for (place, word) in marks.enumerated() {
      var rest = word
      while rest != 0 {
        target.initializeElement(at: written, to: Int32(truncatingIfNeeded: place &<< 6 &+ rest.trailingZeroBitCount))
        written &+= 1
        rest &= rest &- 1
      }
    }
  }
}
