import Testing

@testable import Reporting

/// What is said about one behaviour and layer.
struct VerdictTests {
  private func slope(
    _ variant: Variant, _ slope: Double?, error: Double? = 0.05, original: Double? = 0.26, questions: Int = 60
  ) -> Slope {
    Slope(
      variant: variant, slope: slope, error: error, questions: questions,
      share: slope.flatMap { value in original.map { value / $0 } })
  }

  private func reconstruction(_ method: String, _ sparsity: String = "all", norm: String = "matched") -> Variant {
    Variant("reconstruction", sae: "s", method: method, sparsity: sparsity, norm: norm)
  }

  private func results(_ slopes: [Slope]) -> ReportData.Case {
    var results = ReportData.Case(key: CaseKey(behaviour: "power-seeking", layer: 14))
    results.slopes = slopes
    results.dominance = [BiasDominance(sae: "s", overlap: 0.86), BiasDominance(sae: "untrained-s", overlap: 0.84)]
    return results
  }

  private func words(_ slopes: [Slope], _ settings: ReportData.Settings = .init()) -> VerdictWording {
    VerdictWording(CaseFinding(results(slopes)), settings: settings)
  }

  @Test func aVectorThatTheEncoderLoses() {
    let words = words([
      slope(Variant("original"), 0.26), slope(reconstruction("encode"), 0.039, error: 0.01),
      slope(reconstruction("encode", "32"), 0.2), slope(reconstruction("pair-difference"), 0.24),
      slope(reconstruction("gradient-pursuit-signed", "8"), 0.1),
      slope(reconstruction("gradient-pursuit-signed", "32"), 0.22),
      slope(reconstruction("gradient-pursuit-signed", "32", norm: "raw"), 9),
      slope(Variant("zero-vector", sae: "s", norm: "matched"), 0.01),
    ])
    #expect(words.badge == "encoder loses it")
    #expect(
      words.sentences == [
        "The original steers (slope 0.26 ± 0.05 nats per answer token, 5.2 standard errors, 60 questions).",
        "Read through the encoder, 15 % of that is left at matched norm (the zero vector's reconstruction alone gives 4 %).",
        "Of the active features that the encoder reports, 86 % are also active for the zero vector "
          + "(an untrained dictionary: 84 %).",
        "What works instead: pair-difference keeps 92 % and gradient-pursuit-signed with 32 atoms keeps 85 %.",
      ])
    #expect(words.caveats == [])
  }

  @Test func aVectorThatDoesNotSteerHasNothingToLose() {
    let words = words([
      slope(Variant("original"), 0.02, original: nil), slope(reconstruction("encode"), 0.4, original: nil),
    ])
    #expect(words.badge == "does not steer")
    #expect(words.sentences.count == 2)
    #expect(words.sentences[0].contains("does not steer measurably (slope 0.02 ± 0.05"))
    #expect(!words.sentences.joined().contains("keeps"))
    #expect(words.caveats == [])
  }

  @Test func oneQuestionMakesNoInterval() {
    let words = words([slope(Variant("original"), 0.5, error: nil, original: nil, questions: 1)])
    #expect(words.badge == "too few questions")
    #expect(words.sentences[0].contains("one question only (slope 0.500"))
  }

  @Test func nothingMeasuredIsSaid() {
    #expect(words([]).sentences[0].contains("was not steered with"))
    #expect(words([slope(Variant("original"), nil)]).badge == "not measured")
  }

  @Test func aVectorThatSteersTheOtherWayIsNamed() {
    let words = words([
      slope(Variant("original"), -0.26, original: -0.26), slope(reconstruction("encode"), -0.25, original: -0.26),
    ])
    #expect(words.sentences[0].contains("steers, but away from the behaviour"))
    #expect(words.badge == "encoder keeps it")
  }

  @Test func anEncoderThatTurnsTheSteeringRound() {
    let words = words([slope(Variant("original"), 0.26), slope(reconstruction("encode"), -0.2, error: 0.02)])
    #expect(words.badge == "encoder reverses it")
    #expect(words.sentences[1] == "Read through the encoder, it turns round: -77 % of that at matched norm.")
  }

  @Test func controlsThatDoAsWellAreNamed() {
    let untrained = Variant(
      "untrained-dictionary", sae: "untrained-s", method: "gradient-pursuit-signed", sparsity: "32", norm: "matched")
    let caveats = words([
      slope(Variant("original"), 0.26), slope(reconstruction("encode"), 0.05),
      slope(reconstruction("gradient-pursuit-signed", "32"), 0.2), slope(untrained, 0.2),
      slope(Variant("zero-vector", sae: "s", norm: "matched"), 0.06), slope(Variant("random-0"), -0.3),
      slope(Variant("random-1"), 0.1), slope(Variant("shuffled-0"), 0.14),
    ]).caveats
    #expect(caveats.count == 4)
    #expect(caveats[0].contains("2 random directions of the same norm do as much (slopes -0.30 to 0.10)"))
    #expect(caveats[1].contains("at least half of the original's"))
    #expect(caveats[2].contains("is the bias, not the vector"))
    #expect(caveats[3].contains("credit gradient-pursuit-signed, not the learned features"))
  }

  @Test func noMethodMayWork() {
    let words = words([
      slope(Variant("original"), 0.26), slope(reconstruction("encode"), 0.01),
      slope(reconstruction("gradient-pursuit-signed", "32"), 0.08),
    ])
    #expect(
      words.sentences.last
        == "Nothing works: of the other methods gradient-pursuit-signed with 32 atoms comes first, and keeps 31 %.")
  }

  @Test func severalDictionariesAreSummedUp() {
    var second = reconstruction("encode")
    second.sae = "t"
    let words = words([
      slope(Variant("original"), 0.26), slope(reconstruction("encode"), 0.2, error: 0.01),
      slope(second, 0.03, error: 0.01),
    ])
    #expect(words.sentences[1] == "Read through the encoder of 2 SAEs, 12 to 77 % of that is left at matched norm.")
    #expect(
      words.sentences[2]
        == "The most is lost through t: read through the encoder, 12 % of that is left at matched norm.")
  }

  @Test func rawNormsAndOtherUnitsAreSaid() {
    let words = words(
      [slope(Variant("original"), 0.26), slope(reconstruction("encode", norm: "raw"), 0.26)],
      .init(unit: "activation-norm", positions: "all", score: "sum"))
    #expect(words.sentences[0].contains("nats per answer, for a push of the median activation norm"))
    #expect(words.sentences[1].contains("at its own, unmatched norm"))
  }

  @Test func theErrorOfAShareCarriesBothErrors() throws {
    let original = slope(Variant("original"), 2, error: 0.2, original: 2)
    let share = try #require(Share(slope(reconstruction("encode"), 1, error: 0.1, original: 2), of: original))
    // (0.1/2)^2 + (0.2 * 1/4)^2 = 0.005
    #expect(share.value == 0.5)
    #expect(abs((share.error ?? 0) - 0.005.squareRoot()) < 1e-12)
    #expect(share.isBeyondZero)
    #expect(Share(slope(reconstruction("encode"), 1, original: nil), of: original) == nil)
  }

  @Test func paragraphsAreWrappedByColumns() {
    #expect(wrapped("aa bb cc dd", width: 5) == "aa bb\ncc dd")
    #expect(wrapped("漢字 漢字 a", width: 6) == "漢字\n漢字 a")
    #expect(wrapped("unbreakable word", width: 3) == "unbreakable\nword")
    #expect(wrapped("", width: 3) == "")
  }
}
