internal import Diagnostics
internal import Kernels
internal import TensorFiles

/// A weight matrix `[rows, columns]`, row-major: mapped in its file in the stored type, or in memory as float32.
struct StoredMatrix: Sendable {
  private enum Source: Sendable {
    case file(TensorView, Kernels.ElementType)
    case memory(Matrix)
  }
  let rows: Int
  let columns: Int
  private let source: Source

  init(_ matrix: Matrix) {
    rows = matrix.rows
    columns = matrix.columns
    source = .memory(matrix)
  }

  /// A tensor of two dimensions. float64 is rounded into memory; every other floating-point type stays where it is.
  init(_ tensor: TensorView) throws(InputError) {
    try tensor.require(shape: [nil, nil], meaning: "[rows, columns]")
    rows = tensor.shape[0]
    columns = tensor.shape[1]
    switch tensor.type {
    case .float(.float32): source = .file(tensor, .float32)
    case .float(.float16): source = .file(tensor, .float16)
    case .float(.bfloat16): source = .file(tensor, .bfloat16)
    case .float(.float64), .blocks, .integer, .boolean:
      source = .memory(Matrix(rows: rows, columns: columns, elements: try tensor.floats()))
    }
  }

  /// The stored type: how the weights lie in the file, float32 in memory.
  var type: Kernels.ElementType {
    if case .file(_, let type) = source { type } else { .float32 }
  }

  /// Gives the stored bytes to `body`, without copying.
  func withBytes<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
    switch source {
    case .file(let tensor, _): return try tensor.withBytes(body)
    case .memory(let matrix): return try body(matrix.elements.span.bytes)
    }
  }

  /// x B for these columns: `[n, rows]` to `[n, range.count]`.
  func multiplied(by x: Matrix, columns range: Range<Int>, pool: ThreadPool) -> Matrix {
    withBytes { multiply(x, rowMajor: $0, type: type, columns: columns, columnRange: range, pool: pool) }
  }

  /// x B^T: `[n, columns]` to `[n, rows]`.
  func projections(of x: Matrix, pool: ThreadPool) -> Matrix {
    withBytes { multiply(x, transposedRowMajor: $0, type: type, rows: rows, pool: pool) }
  }

  /// x B^T, the sums of weighted rows and, where asked for, the norms of B's rows in one pass over the matrix, for x `[n, columns]`.
  func pass(multiplying x: Matrix, adding weights: RowWeights, wantsNorms: Bool, pool: ThreadPool) -> RowPass {
    withBytes { RowPass(over: $0, type: type, multiplying: x, adding: weights, wantsNorms: wantsNorms, pool: pool) }
  }

  /// The sums of weighted rows, reading only those that have a weight.
  func sums(of weights: RowWeights, pool: ThreadPool) -> Matrix {
    withBytes { multiply(weights, rowMajor: $0, type: type, columns: columns, pool: pool) }
  }

  /// The rows as weights, every element divided by its row's divisor, packed as float32.
  func packed(dividedBy divisors: [Float], pool: ThreadPool) -> PackedMatrix {
    withBytes { PackedMatrix(rows: $0, type: type, inputs: columns, dividedBy: divisors, pool: pool) }
  }

  /// Rows as float32, `[range.count, columns]`.
  func rows(_ range: Range<Int>) -> Matrix {
    switch source {
    case .memory(let matrix): return matrix.rows(range)
    case .file(let tensor, _):
      return tensor.withBytes(rows: range) { bytes in
        Matrix(rows: range.count, columns: columns, elements: converted(bytes, from: format))
      }
    }
  }

  /// The named rows as float32, in the order given, `[indices.count, columns]`.
  func gathering(rows indices: [Int]) -> Matrix {
    if case .memory(let matrix) = source { return matrix.gathering(rows: indices) }
    var gathered: [Float] = []
    gathered.reserveCapacity(indices.count * columns)
    for index in indices { gathered.append(contentsOf: rows(index..<index + 1).elements) }
    return Matrix(rows: indices.count, columns: columns, elements: gathered)
  }

  /// The named columns as rows of float32, `[indices.count, rows]`. Complexity: O(rows * indices.count), a cache line each.
  func gathering(columns indices: [Int]) -> Matrix {
    precondition(indices.allSatisfy { $0 >= 0 && $0 < columns }, "no such column")
    var gathered = Matrix(rows: indices.count, columns: rows)
    withBytes { bytes in
      for (position, column) in indices.enumerated() {
        for row in 0..<rows {
          let start = (row * columns + column) * type.bytes
          gathered[position, row] = converted(bytes.extracting(start..<start + type.bytes), from: format)[0]
        }
      }
    }
    return gathered
  }

  /// Puts the matrix into a file in its stored type.
  func add(to writer: inout SafetensorsWriter, named name: String) throws(InputError) {
    switch source {
    case .memory(let matrix): try writer.add(name, shape: [rows, columns], floats: matrix.elements)
    case .file(let tensor, _): try writer.add(name, copyOf: tensor)
    }
  }

  /// Norms of the rows, `[rows]`; reads the matrix once.
  func rowNorms(pool: ThreadPool) -> [Float] {
    let (vectors, codes) = (Matrix(rows: 0, columns: columns), RowWeights(sparse: SparseRows(columns: rows)))
    return pass(multiplying: vectors, adding: codes, wantsNorms: true, pool: pool).norms ?? []
  }

  /// Refuses infinities and NaN, naming the first: one pass over the matrix.
  func requireFinite(_ name: String) throws(InputError) {
    for range in blocks(ofRows: max(1, (1 << 16) / max(1, columns))) {
      switch source {
      case .file(let tensor, _): _ = try tensor.floats(rows: range, requireFinite: true)
      case .memory(let matrix):
        let values = matrix.rows(range).elements
        guard let index = firstNonFinite(values.span) else { continue }
        let row = range.lowerBound + index / columns
        throw InputError(name, expected: "finite numbers", found: "\(values[index]) at [\(row), \(index % columns)]")
      }
    }
  }

  private var format: FloatFormat {
    switch type {
    case .float32: .float32
    case .float16: .float16
    case .bfloat16: .bfloat16
    }
  }

  private func blocks(ofRows size: Int) -> [Range<Int>] {
    stride(from: 0, to: rows, by: size).map { $0..<min($0 + size, rows) }
  }
}
