internal import SparseAutoencoders

/// A method's code before it is cut to a sparsity, and what brings it and its cuts back to vectors:
/// `v_hat = (z W_dec + bias b_dec) factor + shift`.
struct WholeCode: Sendable {
  /// z.
  var code: SignedCode
  /// What goes through the decoder in place of z, one value an entry: where samples of different scale were averaged,
  /// or where z counts unit-norm rows. Nil for z itself.
  var decoded: [Float]?
  /// The multiple of b_dec that belongs to the code even without bias: what is left of a difference between samples of
  /// different scale.
  var fixedBias: Float = 0
  /// The multiple of b_dec that `with-bias` adds; nil where the method has no such convention.
  var bias: Float?
  var scale: SparseAutoencoder.OutputScale
  /// The encoder's own activations, where the code is made of those of one input: what is compared with f(0).
  var activations: Activations?

  /// The place on the ladder that the code is: uncut, it goes through the decoder as a rung, whatever other rungs there are, and may
  /// differ in its last bits from a cut that keeps all of it.
  var rung: Rung?

  struct Rung: Sendable {
    var ladder: CoefficientLadder
    var coefficient: Float
  }

  struct Activations: Sendable {
    /// f(c v), at the amplitude a(c).
    var code: SignedCode
    var amplitude: Float
  }
}
