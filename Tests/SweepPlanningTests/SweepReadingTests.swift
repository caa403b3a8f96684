import SweepPlanning
import SweepRecords
import Testing

@Suite struct SweepReadingTests {
  @Test func theDocumentedExampleParses() throws {
    let sweep = try read(exampleSweep)
    #expect(sweep.name == "persona-smollm2")
    #expect(sweep.model.path == "models/smollm2.gguf")
    #expect(sweep.model.prompt == "chatml")
    #expect(sweep.model.weights == "as-stored")
    #expect(sweep.activations == .text(path: "data/text.txt", tokens: 100_000, line: 3))
    #expect(sweep.behaviours.map(\.name) == ["power-seeking", "my-vector"])
    #expect(sweep.behaviours[0].limit == 200)
    #expect(sweep.behaviours[0].read == .answerMean)
    #expect(sweep.behaviours[1].source == .vector("vectors/mine.safetensors"))
    #expect(sweep.layers == "12,15,18")
    #expect(sweep.saes.count == 2)
    #expect(sweep.methods.count == 8)
    #expect(sweep.sparsities == [.atoms(8), .atoms(16), .atoms(32), .atoms(64), .all])
    #expect(sweep.steer.coefficients.count == 17)
    #expect(sweep.steer.coefficients.contains(0))
    #expect(sweep.steer.controls.random == 4)
    #expect(sweep.sideEffects?.tokens == 2000)
    #expect(sweep.seed == 7)
  }

  @Test func leftOutKeysHaveDefaults() throws {
    let sweep = try read(minimalSweep())
    #expect(sweep.methods == SweepSpecification.methods)
    #expect(sweep.sparsities == [.atoms(32), .all])
    #expect(sweep.steer.coefficients == [-2, -1, 0, 1, 2])
    #expect(sweep.steer.unit == .vector)
    #expect(sweep.steer.positions == .scored)
    #expect(sweep.steer.score == .perToken)
    #expect(sweep.steer.norms == [.raw, .matched])
    #expect(sweep.steer.controls.untrainedDictionary)
    #expect(sweep.sideEffects == nil)
    #expect(!sweep.keepQuestions)
    #expect(sweep.priority == .normal)
    #expect(sweep.seed == 0)
    #expect(sweep.saes.isEmpty)
  }

  @Test func everyErrorAtOnceWithItsLineAndKey() {
    let found = errors(
      """
      name: wrong
      modle: {path: a}
      activations: {text: t.txt, tokens: ten}
      behaviours:
        - {name: a b, extract: x.json, vector: y}
        - {extract: x.json, limt: 3, read: answer-men}
      layers: []
      decompose: {methods: [encode, pair-diference], sparsity: [0]}
      steer: {coefficients: "1", unit: meters, controls: [zero-vectr, {randm: 2}]}
      keep: everything
      priority: 3
      """)
    let expected = [
      #"sweep.yaml:2: modle: expected one of name, model"#, "did you mean model?",
      "sweep.yaml:1: model: expected this key",
      #"sweep.yaml:3: activations.tokens: expected a whole number from 256"#, #"found "ten""#,
      #"sweep.yaml:5: behaviours[0]: expected extract (a contrast set) or vector (a finished one), found both"#,
      #"sweep.yaml:5: behaviours[0].name: expected letters"#, #"sweep.yaml:6: behaviours[1].limt"#,
      "did you mean limit?", "sweep.yaml:6: behaviours[1].name: expected this key",
      #"sweep.yaml:6: behaviours[1].read"#, "did you mean answer-mean?", #"sweep.yaml:7: layers"#,
      #"sweep.yaml:8: decompose.methods"#, "did you mean pair-difference?", "sweep.yaml:8: decompose.sparsity",
      #"sweep.yaml:9: steer.coefficients: expected at least two values"#, "sweep.yaml:9: steer.unit",
      "did you mean zero-vector?", "sweep.yaml:9: steer.controls.randm", "did you mean random?", "sweep.yaml:10: keep",
      #"sweep.yaml:11: priority: expected one of high, normal, low, found "3""#,
    ]
    for text in expected { #expect(found.contains { $0.contains(text) }, "\(text) in \(found)") }
    #expect(found.count == 17, "\(found)")
    #expect(found.first?.hasPrefix("sweep.yaml:1:") == true && found.last?.hasPrefix("sweep.yaml:11:") == true)
  }

  @Test(arguments: [
    ("a: [1, 2", "sweep.yaml:"), ("- a\n- b", "sweep.yaml:1: expected a mapping"), ("", "sweep.yaml:1"),
    ("just text", "a mapping"), ("name: a\nname: b", "expected each key once, found name more than once"),
    ("name: \"a", "sweep.yaml:"), ("name: a\n\tmodel: b", "sweep.yaml:2"),
  ])
  func whatIsNoMappingIsOneClearError(yaml: String, message: String) {
    let found = errors(yaml)
    #expect(found.count == 1)
    #expect(found.first?.contains(message) == true, "\(found)")
  }

  @Test func aliasesNeverReachTheParser() {
    var bomb = "a0: &a0 [x, x]\n"
    for level in 1...60 { bomb += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    #expect(errors(bomb + "? *a60\n: 1").first?.contains("sweep.yaml:1: expected values written out") == true)
    // As a key, hidden behind a quote that isn't one, a comment that isn't one, or a line break of Unicode's.
    for hidden in [
      "name: x\nlayers: [a\n \"b, *a]", #"name: [" #", *a]"#, "name: 'a'', ', *a", "name: a\u{2028}*a : 1", "{*a : 1}",
      "name: 1\r*a : 2", "--- *a",
    ] {
      #expect(errors(hidden).contains { $0.contains("anchor or alias") }, "\(hidden)")
    }
    #expect(!errors("name: a *b & c # 2 * 3 **bold**").contains { $0.contains("anchor") })
  }

  @Test func absurdDepthAndSizeAreRefused() {
    #expect(errors(String(repeating: "[", count: 200_000)).count == 1)
    #expect(errors(String(repeating: "a: ", count: 400_000)).first?.contains("1 MiB") == true)
    #expect(errors("name: " + String(repeating: "{a: ", count: 50_000)).count == 1)
  }

  @Test func environmentVariablesAreReplaced() throws {
    let yaml = minimalSweep().replacing("model: model", with: "model: ${ROOT}/m-${NAME}.gguf")
    #expect(try read(yaml, environment: ["ROOT": "/data", "NAME": "x"]).model.path == "/data/m-x.gguf")
    #expect(errors(yaml, environment: ["ROOT": "/data"]).first?.contains("the environment variable NAME") == true)
    #expect(errors(minimalSweep().replacing("model: model", with: "model: ${ROOT")).first?.contains("\"}\"") == true)
    // What a variable holds is not looked through again.
    #expect(try read(yaml, environment: ["ROOT": "${NAME}", "NAME": "x"]).model.path == "${NAME}/m-x.gguf")
  }

  @Test func listsAreCanonical() throws {
    let sweep = try read(
      minimalSweep(
        """
        decompose: {sparsity: [all, 64, 8], methods: encode}
        steer: {coefficients: [2, -0.0, -1, "1:3:1"], norms: [matched, raw], sparsity: 8}
        """))
    #expect(sweep.sparsities == [.atoms(8), .atoms(64), .all])
    #expect(sweep.methods == ["encode"])
    #expect(sweep.steer.coefficients == [-1, 0, 1, 2, 3])
    #expect(sweep.steer.coefficients.allSatisfy { $0 != 0 || $0.sign == .plus })
    #expect(sweep.steer.norms == [.raw, .matched])
    #expect(sweep.steer.sparsities == [.atoms(8)])
  }

  @Test(arguments: [
    ("decompose: {methods: [encode, encode]}", "decompose.methods: expected each value once"),
    ("decompose: {methods: []}", "decompose.methods: expected at least one"),
    ("decompose: {methods: [gradient-pursuit], sparsity: all}", "a number of atoms at which gradient-pursuit stops"),
    (
      "decompose: {sparsity: [8, 16]}\nsteer: {sparsity: [32]}",
      "steer.sparsity: expected some of decompose.sparsity (8, 16)"
    ),
    ("decompose: {methods: [encode]}\nsteer: {controls: [pair-difference-error]}", "pair-difference among"),
    ("saes: {path: \"a/{width}\"}", "saes[0].widths: expected widths for {width}"),
    ("saes: {path: a, train: {widths: 8}}", "train alone, or path"), ("saes: {widths: 8}", "saes[0].path"),
    ("saes: {train: {widths: 1}}", "saes[0].train.widths"), ("saes: {train: {steps: 5}}", "saes[0].train.widths"),
    ("saes: {train: {widths: 8, learning_rate: -1}}", "a number above 0"),
    ("seed: -1", "seed: expected a whole number"),
    ("steer: {coefficients: [1, nan]}", "steer.coefficients"), ("steer: [1]", "steer: expected a mapping"),
    ("side_effects: {tokens: 100}", "side_effects.text: expected this key"), ("saes: ~", "saes[0]"),
    ("steer: {coefficients: \"0:1:0.00001\"}", "at most 10000 numbers"),
  ])
  func contradictionsAreFound(yaml: String, message: String) {
    let found = errors(minimalSweep(yaml))
    #expect(found.contains { $0.contains(message) }, "\(found)")
  }

  @Test func behavioursAreNamedOnce() {
    let yaml = minimalSweep().replacing(
      "layers:", with: "  - {name: one, extract: two.json}\nlayers:")
    #expect(errors(yaml) == [#"sweep.yaml:6: behaviours: expected each name once, found "one" twice"#])
  }
}
