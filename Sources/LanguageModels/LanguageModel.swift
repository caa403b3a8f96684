package import Diagnostics
package import Kernels
internal import Synchronization
internal import TensorFiles

/// A decoder-only transformer, ready to run: immutable, usable from any thread.
///
/// Results are the same bits for any number of threads, alone or in a batch, with or without a cache (protocol.md).
package final class LanguageModel: Sendable {
  package let architecture: ModelArchitecture
  /// The threads that its products run on.
  package let pool: ThreadPool
  /// What errors call the model: its path.
  package let name: String
  let blocks: [TransformerBlock]
  let finalNorm: [Float]
  private let source: WeightSource
  /// Read row by row where it lies, so that the table is not in memory twice.
  private let embedding: TensorView
  private let frequencies: [Float]
  private let rotaryTable: Mutex<RotaryTable>
  private let packedUnembedding = Mutex<PackedMatrix?>(nil)

  /// Loads the model at `path`, a folder in Hugging Face's layout or a `.gguf` file.
  ///
  /// - Throws: `InputError` naming file, key or tensor: unknown architectures, missing or misshapen tensors, numbers that are
  ///   not finite.
  package convenience init(path: String, weights: WeightStorage = .asStored, pool: ThreadPool) throws(InputError) {
    try self.init(files: ModelFiles(path: path), weights: weights, pool: pool)
  }

  /// Loads the model from its files; see `init(path:weights:pool:)`.
  package init(files: ModelFiles, weights: WeightStorage = .asStored, pool: ThreadPool) throws(InputError) {
    let source = try WeightSource(files: files, storage: weights)
    self.source = source
    self.pool = pool
    name = files.path
    let architecture = source.architecture
    self.architecture = architecture
    embedding = try source.view(.embedding)
    try source.checkFinite(embedding, pool: pool)
    if !architecture.tiedUnembedding { try source.checkFinite(source.view(.unembedding), pool: pool) }
    finalNorm = try source.vector(.finalNorm)
    var blocks: [TransformerBlock] = []
    for index in 0..<architecture.blocks { blocks.append(try TransformerBlock(index, source, pool: pool)) }
    self.blocks = blocks
    let frequencies = architecture.rotary.frequencies(dimension: architecture.headDimension)
    self.frequencies = frequencies
    rotaryTable = Mutex(LanguageModel.rotaryTable(frequencies, positions: min(256, architecture.contextLength)))
  }

  /// What a model's files describe and how much memory it takes loaded, without reading its weights.
  package static func describe(
    _ files: ModelFiles, weights: WeightStorage = .asStored
  ) throws(InputError) -> (architecture: ModelArchitecture, bytes: Int) {
    let source = try WeightSource(files: files, storage: weights)
    return (source.architecture, source.packedBytes)
  }

  /// Refuses tokens that this model can't run: none, more than its context, ids outside its vocabulary.
  /// - Parameter subject: what the message calls them, such as `--prompt`.
  package func check(_ tokens: [Int], subject: String) throws(InputError) {
    guard !tokens.isEmpty else { throw InputError(subject, expected: "at least one token", found: "none") }
    try checkContext(tokens.count, subject: subject)
    try checkVocabulary(tokens, subject: subject)
  }

  /// A cache for one sequence, empty.
  package func emptyCache() -> KeyValueCache {
    KeyValueCache(blocks: architecture.blocks, keyValueWidth: architecture.keyValueWidth)
  }

  /// The rows of the embedding table, scaled where the architecture says so: `[tokens, width]`.
  /// - Throws: `InputError` for ids outside the vocabulary.
  package func embed(_ tokens: [Int]) throws(InputError) -> Matrix {
    try checkVocabulary(tokens, subject: "token ids")
    let width = architecture.width
    var result = Matrix(rows: tokens.count, columns: width)
    var row = [Float](repeating: 0, count: width)
    for (index, token) in tokens.enumerated() {
      var span = row.mutableSpan
      try source.rows(token..<token + 1, of: embedding, into: &span)
      if let scale = architecture.embeddingScale { for column in row.indices { row[column] *= scale } }
      result.setRow(index, row)
    }
    return result
  }

  /// Refuses a sequence that grows longer than the model's context.
  func checkContext(_ count: Int, subject: String) throws(InputError) {
    guard count <= architecture.contextLength else {
      throw InputError(
        subject, expected: "at most \(architecture.contextLength) tokens, the model's context", found: "\(count)",
        remedy: "shorten the text")
    }
  }

  private func checkVocabulary(_ tokens: [Int], subject: String) throws(InputError) {
    if let token = tokens.first(where: { $0 < 0 || $0 >= architecture.vocabulary }) {
      throw InputError(
        subject, expected: "token ids from 0 to \(architecture.vocabulary - 1)", found: "\(token)",
        remedy: "tokenizer and model must belong together")
    }
  }

  /// Cosines and sines for at least `positions` positions. A position's entries do not depend on the size of the table.
  func rotaryTable(positions: Int) -> RotaryTable {
    rotaryTable.withLock { table in
      if table.positions < positions {
        let grown = min(max(2 * table.positions, positions), max(positions, architecture.contextLength))
        table = LanguageModel.rotaryTable(frequencies, positions: grown)
      }
      return table
    }
  }

  private static func rotaryTable(_ frequencies: [Float], positions: Int) -> RotaryTable {
    RotaryTable(dimension: 2 * frequencies.count, positions: positions, inverseFrequencies: frequencies, scale: 1)
  }

  /// The unembedding `[vocabulary, width]`, packed when first wanted: activations alone don't need it.
  func unembedding() -> PackedMatrix {
    packedUnembedding.withLock { packed in
      if let packed { return packed }
      do throws(InputError) {
        let made = try source.packed(architecture.tiedUnembedding ? .embedding : .unembedding, pool: pool)
        packed = made
        return made
      } catch {
        preconditionFailure("the model's file changed after it was checked: \(error)")
      }
    }
  }
}
