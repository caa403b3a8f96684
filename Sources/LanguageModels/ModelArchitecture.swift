/// What a decoder-only transformer computes, as data: one forward pass serves every family that this can describe.
///
/// Made from a Hugging Face `config.json` or from GGUF metadata; never edited by hand.
package struct ModelArchitecture: Sendable, Equatable {
  /// What a family of models calls itself in its files; decides how they are read, not what is computed.
  package enum Family: String, Sendable, CaseIterable {
    case llama, mistral, qwen2, gemma2
  }

  /// Where the root-mean-square norms of a block stand.
  package enum NormPlacement: Sendable, Equatable {
    /// Before attention and before the feed-forward part.
    case before
    /// Before each, and again on each one's output before it joins the residual stream (Gemma 2).
    case beforeAndAfter
  }

  /// The non-linearity of the gated feed-forward part.
  package enum Activation: Sendable, Equatable {
    case silu
    /// GELU in its tanh approximation.
    case geluTanh
  }

  package var family: Family
  /// Number of blocks; layer L is the output of block L, counted from 0.
  package var blocks: Int
  /// Width of the residual stream, d.
  package var width: Int
  /// Query heads.
  package var heads: Int
  /// Key and value heads; each serves `heads / keyValueHeads` query heads.
  package var keyValueHeads: Int
  package var headDimension: Int
  package var feedForwardWidth: Int
  package var vocabulary: Int
  /// The longest sequence, in tokens.
  package var contextLength: Int
  package var normEpsilon: Float
  package var normPlacement: NormPlacement
  /// Whether norms multiply by 1 + w instead of w (Gemma's checkpoints; its GGUF files hold the sum).
  package var normAddsOne: Bool
  package var activation: Activation
  package var rotary: RotaryEmbedding
  /// What attention scores are multiplied by.
  package var scoreScale: Float
  /// Attention scores s become cap * tanh(s / cap).
  package var attentionSoftcap: Float?
  /// Logits likewise, before any soft-max.
  package var finalSoftcap: Float?
  /// For each block: how many positions, its own included, a query sees; nil for all.
  package var windows: [Int?]
  /// What embeddings are multiplied by; nil for 1.
  package var embeddingScale: Float?
  /// Whether the unembedding is the embedding table.
  package var tiedUnembedding: Bool
  /// Whether the query, key and value projections have biases.
  package var projectionBias: Bool
  /// Whether the attention's output projection has one.
  package var outputBias: Bool
  /// The token that begins a sequence, where the files name one.
  package var beginningOfSequence: Int?
  /// Tokens that end one.
  package var endOfSequence: [Int]

  /// Width of all query heads together.
  package var queryWidth: Int { heads * headDimension }
  /// Width of all key (or value) heads together.
  package var keyValueWidth: Int { keyValueHeads * headDimension }

  /// Bytes that keys and values of one token take in a cache.
  package var cacheBytesPerToken: Int { 2 * blocks * keyValueWidth * MemoryLayout<Float>.size }

  /// Number of weights.
  package var parameters: Int {
    let attention = width * (2 * queryWidth + 2 * keyValueWidth)
    let biases = (projectionBias ? queryWidth + 2 * keyValueWidth : 0) + (outputBias ? width : 0)
    let norms = (normPlacement == .before ? 2 : 4) * width
    let block = attention + biases + norms + 3 * width * feedForwardWidth
    return blocks * block + vocabulary * width * (tiedUnembedding ? 1 : 2) + width
  }
}
