internal import Diagnostics
internal import Kernels
internal import TensorFiles

/// The type in which weights are kept in memory and computed with (`--dtype`).
package enum WeightStorage: String, Sendable, CaseIterable {
  /// float32, float16 and bfloat16 as they are; quantised weights as the float32 that they stand for.
  case asStored = "as-stored"
  case float32
  /// Rounded to the nearest bfloat16, ties to even.
  case bfloat16
}

/// A model's tensors by what they are: names, order of rows, shapes and finiteness settled.
struct WeightSource: Sendable {
  let architecture: ModelArchitecture
  let storage: WeightStorage
  private let naming: WeightNaming
  private let tensors: [String: TensorView]
  /// What errors about missing tensors name.
  private let path: String

  /// Opens a model's files and checks that every tensor is there, in its shape, and none that is not understood.
  init(files: ModelFiles, storage: WeightStorage) throws(InputError) {
    let opened = try OpenedModel(files)
    architecture = opened.architecture
    self.storage = storage
    naming = files.configuration == nil ? .gguf : .huggingFace
    path = files.path
    var tensors: [String: TensorView] = [:]
    for collection in opened.collections {
      for name in collection.tensorNames {
        let tensor = try collection.tensor(named: name)
        if let other = tensors.updateValue(tensor, forKey: name) {
          throw InputError(
            tensor.subject, expected: "a tensor in one file only", found: "another in \(other.source.name)")
        }
      }
    }
    self.tensors = tensors
    try checkTensors()
  }

  /// The tensor, of the right shape.
  func view(_ weight: Weight) throws(InputError) -> TensorView {
    let name = naming.name(weight, architecture)
    guard let tensor = tensors[name] else {
      throw InputError("\(path): tensor \"\(name)\"", expected: "a tensor of this name", found: "none")
    }
    return tensor
  }

  /// A vector as float32.
  func vector(_ weight: Weight) throws(InputError) -> [Float] {
    let tensor = try view(weight)
    var values = try tensor.floats(requireFinite: true)
    if storage == .bfloat16 { for index in values.indices { values[index] = values[index].roundedToBFloat16 } }
    guard let heads = rotatedHeads(weight) else { return values }
    return values.indices.map { values[storedRow($0, heads: heads)] }
  }

  /// A matrix, packed for products in the type it is kept in.
  func packed(_ weight: Weight, pool: ThreadPool) throws(InputError) -> PackedMatrix {
    let tensor = try view(weight)
    let heads = rotatedHeads(weight)
    let columns = tensor.elementsPerRow
    return try PackedMatrix(
      outputs: tensor.rowCount, inputs: columns, storage: packing(tensor), pool: pool
    ) { (rows: Range<Int>, target: inout MutableSpan<Float>) throws(InputError) in
      if let heads {
        for (offset, row) in rows.enumerated() {
          let stored = storedRow(row, heads: heads)
          let values = try tensor.floats(rows: stored..<stored + 1)
          for column in 0..<columns { target[offset * columns + column] = values[column] }
        }
      } else {
        try tensor.copyFloats(rows: rows, into: &target)
      }
      try finish(&target, of: tensor, firstElement: rows.lowerBound * columns)
    }
  }

  /// Rows of a table as float32, row-major; they were found finite by `checkFinite`.
  func rows(_ range: Range<Int>, of table: TensorView, into target: inout MutableSpan<Float>) throws(InputError) {
    try table.copyFloats(rows: range, into: &target)
    try finish(&target, of: table, firstElement: range.lowerBound * table.elementsPerRow)
  }

  /// Refuses a matrix that is read row by row later if any of its elements is not finite.
  func checkFinite(_ table: TensorView, pool: ThreadPool) throws(InputError) {
    let rows = table.rowCount
    let step = max(1, (1 << 18) / max(1, table.elementsPerRow))
    let failures = FirstFailure()
    pool.forEach((rows + step - 1) / step) { chunk in
      let range = chunk * step..<min(rows, (chunk + 1) * step)
      do throws(InputError) {
        _ = try table.floats(rows: range, requireFinite: true)
      } catch {
        failures.note(error, at: chunk)
      }
    }
    if let error = failures.first { throw error }
  }

  /// Bytes that the packed weights and vectors will take.
  var packedBytes: Int {
    architecture.weights.reduce(0) { total, weight in
      guard let tensor = tensors[naming.name(weight, architecture)] else { return total }
      let isTable = weight == .embedding && !architecture.tiedUnembedding
      if tensor.shape.count < 2 { return total + 4 * tensor.elementCount }
      return isTable
        ? total
        : total + (packing(tensor) == .float32 ? 4 : 2) * ((tensor.rowCount + 15) / 16 * 16) * tensor.elementsPerRow
    }
  }

  private func checkTensors() throws(InputError) {
    var expected: Set<String> = []
    for weight in architecture.weights {
      let shape = architecture.shape(of: weight)
      let tensor = try view(weight)
      expected.insert(tensor.name)
      try tensor.require(shape: shape.lengths, meaning: shape.meaning)
      switch tensor.type {
      case .float, .blocks: break
      case .integer, .boolean:
        throw InputError(
          tensor.subject, expected: "floating-point weights or a quantisation of GGUF", found: tensor.type.name,
          remedy: "convert the model to safetensors in bfloat16 or float32")
      }
    }
    for name in tensors.keys.sorted() where !expected.contains(name) && !naming.ignores(name, architecture) {
      throw InputError(
        tensors[name]?.subject ?? name, expected: "only tensors of a \(architecture.family.rawValue) model",
        found: "one that this program doesn't understand",
        remedy: "it changes what the model computes; such a model can't be run")
    }
  }

  private func packing(_ tensor: TensorView) -> PackedMatrix.Storage {
    switch (storage, tensor.type) {
    case (.bfloat16, _): .bfloat16
    case (.asStored, .float(.float16)): .float16
    case (.asStored, .float(.bfloat16)): .bfloat16
    case (.asStored, _), (.float32, _): .float32
    }
  }

  private func finish(
    _ values: inout MutableSpan<Float>, of tensor: TensorView, firstElement: Int
  ) throws(InputError) {
    if storage == .bfloat16 { for index in values.indices { values[index] = values[index].roundedToBFloat16 } }
    if let index = firstNonFinite(values.span) {
      throw InputError(
        tensor.subject, expected: "finite numbers", found: "\(values[index]) near element \(firstElement + index)")
    }
  }

  /// The heads whose rows llama.cpp stores in its own order, nil for tensors that are stored as they are.
  ///
  /// Its rotation for `llama` pairs neighbouring dimensions, so its converter moves row i of a head's first half to row 2i and row
  /// i of the second half to 2i + 1. Other families rotate halves, as this program does.
  private func rotatedHeads(_ weight: Weight) -> Int? {
    guard case .gguf = naming, architecture.family == .llama, case .block(_, let part) = weight else { return nil }
    switch part {
    case .query, .queryBias: return architecture.heads
    case .key, .keyBias: return architecture.keyValueHeads
    default: return nil
    }
  }

  private func storedRow(_ row: Int, heads: Int) -> Int {
    let dimension = architecture.headDimension
    let (head, within) = row.quotientAndRemainder(dividingBy: dimension)
    let (half, pair) = within.quotientAndRemainder(dividingBy: dimension / 2)
    return head * dimension + 2 * pair + half
  }
}

extension Float {
  /// The nearest bfloat16, ties to even.
  fileprivate var roundedToBFloat16: Float {
    guard isFinite else { return self }
    let bits = bitPattern
    return Float(bitPattern: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) & 0xffff_0000)
  }
}
