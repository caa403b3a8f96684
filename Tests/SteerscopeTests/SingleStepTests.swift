import Foundation
import Testing

/// The commands of single steps, against golden data and each other.
@Suite struct SingleStepTests {
  static let model = Program.model
  static let vector = Program.golden + "/llama-tied/expected.safetensors:vector"

  @Test func tokenizeAgreesWithTheReferenceAndComesBack() async throws {
    let file = try Data(contentsOf: URL(fileURLWithPath: Program.golden + "/tokenizers.json"))
    let all = try #require(try JSONSerialization.jsonObject(with: file) as? [String: [[String: Any]]])
    let cases = try #require(all["llama-tied"])
    try await Program.inFolder { program in
      for entry in cases.prefix(24) {
        let text = try #require(entry["text"] as? String)
        let ids = try #require(entry["ids"] as? [Int])
        try program.write(text, to: "text")
        let tokens = try #require(
          try program("tokenize", "--model", Self.model, "--file", "text", "--format", "json").json()["tokens"]
            as? [[String: Any]])
        #expect(tokens.compactMap { $0["id"] as? Int } == ids)
        #expect(tokens.allSatisfy { $0["text"] is String && $0.count == 2 })
        guard entry["decoded"] == nil, !ids.isEmpty else { continue }
        let list = ids.map(String.init).joined(separator: ",")
        #expect(try program("tokenize", "--model", Self.model, "--decode", list).result == text + "\n")
      }
      #expect(try program("tokenize", "--model", Self.model, "--bos", "a").result.hasPrefix("1 "))
      let csv = try program("tokenize", "--model", Self.model, "a\"b", "--format", "csv").result
      #expect(csv.hasPrefix("id,text\n") && csv.contains("\"\"\"\""))
    }
  }

  /// The tiny model with a tokenizer in which `<t212>` is token 212, because the golden prompts are ids that no text gives.
  ///
  /// Returns the golden prompt as such text, its ids and the expected tensors.
  private func prompt(_ program: Program) throws -> (text: String, ids: [Int], expected: Tensors) {
    for file in ["config.json", "model.safetensors"] {
      try program.cut("\(Self.model)/\(file)", to: "model/\(file)", bytes: .max)
    }
    let data = try Data(contentsOf: URL(fileURLWithPath: Self.model + "/tokenizer.json"))
    var tokenizer = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    var model = try #require(tokenizer["model"] as? [String: Any])
    let tokens = (0..<300).map { "<t\($0)>" }
    model["vocab"] = Dictionary(uniqueKeysWithValues: zip(tokens, 0..<300))
    model["merges"] = [String]()
    tokenizer["model"] = model
    tokenizer["added_tokens"] = tokens.enumerated().map { id, text -> [String: Any] in
      [
        "id": id, "content": text, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false,
      ]
    }
    try JSONSerialization.data(withJSONObject: tokenizer)
      .write(to: URL(fileURLWithPath: program.path("model/tokenizer.json")))
    let expected = try Tensors(Self.model + "/expected.safetensors")
    let ids = try expected.integers("prompt0/ids")
    return (ids.map { "<t\($0)>" }.joined(), ids, expected)
  }

  @Test func logitsAgreeWithTransformers() async throws {
    try await Program.inFolder { program in
      let (text, ids, expected) = try prompt(program)
      let all = (0..<300).map(String.init).joined(separator: ",")
      let plain = try program("logits", "--model", "model", "--prompt", text, "--tokens", all, "--format", "json")
      let json = try plain.json()
      try #require(json["tokens"] as? [Int] == ids)
      let steering = ["--layer", "1", "--vector", Self.vector]
      let coefficient = try #require(try expected.floats("coefficient").first)
      for (name, flags) in [
        ("logits", []), ("steered_last", steering + ["--coefficient", "\(coefficient)"]),
        ("steered_last", steering + ["--coefficient=\(coefficient)", "--positions", "last"]),
        ("steered_all", steering + ["--coefficient", "\(coefficient)", "--positions", "all"]),
      ] {
        let process = try program.start(
          ["logits", "--model", "model", "--prompt", text, "--tokens", all, "--format", "json"] + flags, name: "call")
        process.waitUntilExit()
        let found = try #require(
          try JSONSerialization.jsonObject(with: Data(try program.text("call.out").utf8)) as? [String: Any])
        let logits = try #require(found["logits"] as? [[String: Any]]).compactMap { $0["logit"] as? Double }
        let golden = Array(try expected.floats("prompt0/\(name)").suffix(300))
        try #require(logits.count == 300)
        let worst = zip(logits, golden).map { abs($0 - Double($1)) }.max() ?? .infinity
        #expect(worst < 1e-3, "\(name): \(worst)")
      }
      let top = try program("logits", "--model", "model", "--prompt", text, "--top", "3", "--format", "json").json()
      let entries = try #require(top["logits"] as? [[String: Any]])
      #expect(entries.count == 3 && entries.allSatisfy { Set($0.keys) == ["token", "text", "logit"] })
      let values = entries.compactMap { $0["logit"] as? Double }
      #expect(values == values.sorted(by: >))
    }
  }

  @Test func activationsAgreeWithTransformers() async throws {
    try await Program.inFolder { program in
      let (text, ids, expected) = try prompt(program)
      let output = try program(
        "activations", "--model", "model", "--prompt", text, "--layers", "all", "--output", "a.safetensors")
      #expect(output.status == 0 && output.result.isEmpty)
      let found = try Tensors(program.path("a.safetensors"))
      #expect(found.names == ["layer.0", "layer.1", "layer.2"])
      for layer in 0..<3 {
        #expect(try found.shape("layer.\(layer)") == [ids.count, 48])
        let golden = try expected.floats("prompt0/residual\(layer)")
        let worst = zip(try found.floats("layer.\(layer)"), golden).map { abs($0 - $1) }.max() ?? .infinity
        #expect(worst < 1e-3)
      }
    }
  }

  @Test func extractThenEvaluateAsTheSlowReferenceDoes() async throws {
    try await Program.inFolder { program in
      try program.write(Program.pairs, to: "pairs.json")
      let extract = try program(
        "extract", "--model", Self.model, "--contrast", "pairs.json", "--layers", "0,2", "--output", "v.safetensors",
        "--activations", "a.safetensors", "--prompt", "raw")
      #expect(extract.status == 0, "\(extract.words)")
      let vectors = try Tensors(program.path("v.safetensors"))
      #expect(vectors.names == ["layer.0", "mean.0", "layer.2", "mean.2"])
      #expect(vectors.metadata["pairs"] == "9" && vectors.metadata["activation_norm_p50.2"].flatMap(Double.init) != nil)
      let activations = try Tensors(program.path("a.safetensors"))
      // One activation a pair, and the answers' tokens behind it.
      let sides = ["positive", "negative"].flatMap {
        ["\($0).0", "\($0).2", "\($0)-tokens.0", "\($0)-tokens.2", "\($0)-counts"]
      }
      #expect(activations.names == Set(sides))
      #expect(try activations.shape("positive.2") == [9, 48])
      // The vector is the mean of the differences.
      let (plus, minus) = (try activations.floats("positive.2"), try activations.floats("negative.2"))
      let vector = try vectors.floats("layer.2")
      for column in 0..<48 {
        let mean = (0..<9).reduce(0.0) { $0 + Double(plus[$1 * 48 + column] - minus[$1 * 48 + column]) } / 9
        #expect(abs(mean - Double(vector[column])) < 1e-5)
      }
      try evaluations(program)
    }
  }

  private func evaluations(_ program: Program) throws {
    for list in [["--coefficients", "-1:1:0.5"], ["--coefficients=-1,-0.5,0,0.5,1"]] {
      let flags =
        [
          "evaluate", "--model", Self.model, "--vector", "v.safetensors:layer.2", "--layer", "2", "--questions",
          "pairs.json", "--prompt", "raw", "--format", "json",
        ] + list
      var results: [String] = []
      for more in [[], ["--naive"], ["--threads", "1"]] {
        let process = try program.start(flags + more, name: "call")
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        results.append(try program.text("call.out"))
      }
      #expect(results[0] == results[1] && results[0] == results[2])
      let json = try #require(try JSONSerialization.jsonObject(with: Data(results[0].utf8)) as? [String: Any])
      #expect(Set(json.keys) == ["layer", "curve", "steerability", "questions"] && json["layer"] as? Int == 2)
      let curve = try #require(json["curve"] as? [[String: Any]])
      #expect(curve.compactMap { $0["coefficient"] as? Double } == [-1, -0.5, 0, 0.5, 1])
      let point = Set(["coefficient", "propensity", "standard_error", "probability", "accuracy"])
      #expect(curve.allSatisfy { Set($0.keys) == point })
      let steerability = try #require(json["steerability"] as? [String: Any])
      #expect(Set(steerability.keys) == ["mean", "standard_error", "anti_steerable_share", "spearman"])
      let questions = try #require(json["questions"] as? [[String: Any]])
      #expect(questions.count == 9 && questions.allSatisfy { ($0["propensity"] as? [Double])?.count == 5 })
      // The mean slope is the questions' mean.
      let slopes = questions.compactMap { $0["slope"] as? Double }
      let mean = try #require(steerability["mean"] as? Double)
      #expect(abs(slopes.reduce(0, +) / 9 - mean) < 1e-9)
    }
    // One question has no standard error, one coefficient no slope: null, not a crash or NaN.
    let one = try program(
      "evaluate", "--model", Self.model, "--vector", "v.safetensors:layer.2", "--layer", "2", "--questions",
      "pairs.json", "--limit", "1", "--coefficients", "1", "--format", "json"
    ).json()
    #expect((one["steerability"] as? [String: Any])?["mean"] is NSNull)
  }

  @Test func decomposeEncodesAsSAELensDoes() async throws {
    let golden = Program.golden
    let expected = try Tensors(golden + "/sae-expected.safetensors")
    try await Program.inFolder { program in
      for name in ["jumprelu", "standard", "topk", "gated", "gemma-scope/params.npz"] {
        let key = String(name.split(separator: "/")[0])
        let codes = try expected.floats("\(key)/codes").prefix(48)
        let output = try program(
          "decompose", "--sae", "\(golden)/saes/\(name)", "--vector",
          "\(golden)/sae-expected.safetensors:\(key)/input[0]",
          "--method", "encode", "--format", "json", "--reconstruction", "--layer", "3")
        #expect(output.status == 0, "\(output.words)")
        let json = try output.json()
        #expect(
          Set(json.keys).isSuperset(of: [
            "method", "sparsity", "width", "layer", "vector_norm", "l0", "cosine", "relative_error", "norm_ratio",
            "zero_overlap", "zero_jaccard", "bias_share", "negative_share", "features", "reconstruction",
          ]))
        #expect(json["method"] as? String == "encode" && json["width"] as? Int == 48 && json["layer"] as? Int == 3)
        let features = try #require(json["features"] as? [[String: Any]])
        #expect(features.allSatisfy { Set($0.keys) == ["index", "coefficient", "projection", "in_zero_vector"] })
        var found = [Double](repeating: 0, count: 48)
        for feature in features {
          found[try #require(feature["index"] as? Int)] = try #require(feature["coefficient"] as? Double)
        }
        #expect(zip(found, codes).allSatisfy { abs($0 - Double($1)) < 1e-4 }, "\(key)")
        #expect(json["l0"] as? Int == features.count)
        let reconstruction = try #require(json["reconstruction"] as? [Double])
        let golden = try expected.floats("\(key)/reconstruction").prefix(16)
        #expect(zip(reconstruction, golden).allSatisfy { abs($0 - Double($1)) < 1e-4 }, "\(key)")
      }
    }
  }

  @Test func severalDecompositionsAreAList() async throws {
    let golden = Program.golden
    try await Program.inFolder { program in
      func decompose(_ more: String...) throws -> Program.Output {
        let process = try program.start(
          [
            "decompose", "--sae", "\(golden)/saes/jumprelu", "--vector",
            "\(golden)/sae-expected.safetensors:jumprelu/input[0]", "--method", "gradient-pursuit-signed",
          ] + more, name: "call")
        process.waitUntilExit()
        return Program.Output(
          status: process.terminationStatus, result: try program.text("call.out"), words: try program.text("call.err"))
      }
      let both = try decompose("--sparsity", "2,4", "--coefficients", "-1,2", "--format", "json").json()
      let results = try #require(both["results"] as? [[String: Any]])
      #expect(results.compactMap { $0["sparsity"] as? Int } == [2, 4, 2, 4])
      #expect(results.compactMap { $0["l0"] as? Int } == [2, 4, 2, 4])
      // A layer that nothing tells is the SAE's own.
      #expect(results.allSatisfy { $0["layer"] as? Int == 1 })
      let table = try decompose("--sparsity", "3")
      #expect(table.result.split(separator: "\n").count == 3 + 2 + 3)
      let csv = try decompose("--sparsity", "3", "--format", "csv").result.split(separator: "\n")
      #expect(csv.count == 4 && csv[0].hasPrefix("method,sparsity,"))
      for bad in ["0", "49", "", "x", "2,"] {
        let output = try decompose("--sparsity", bad)
        #expect(output.refused(naming: "--sparsity"), "\(bad): \(output.words)")
      }
      #expect(try decompose("--sparsity", "all").status == 2)
    }
  }

  @Test func saeInfoAndConvert() async throws {
    let golden = Program.golden
    try await Program.inFolder { program in
      for format in ["json", "csv", "table"] {
        let info = try program("sae", "info", golden + "/saes/gemma-scope/params.npz", "--format", format)
        #expect(info.status == 0 && info.result.contains("jumprelu"))
      }
      #expect(try program("sae", "convert", golden + "/saes/gemma-scope/params.npz", "--output", "sae").status == 0)
      let check = ["--check", golden + "/sae-expected.safetensors:gemma-scope/input"]
      let before = try program(
        "sae", "info", golden + "/saes/gemma-scope/params.npz", check[0], check[1], "--format", "json")
      let after = try program("sae", "info", "sae", check[0], check[1], "--format", "json")
      #expect(before.status == 0, "\(before.words)")
      let (first, second) = (try before.json(), try after.json())
      for key in ["architecture", "dimension", "width", "b_dec_on_input", "l0", "explained_variance", "dead_share"] {
        #expect("\(first[key] ?? "-")" == "\(second[key] ?? "-")" && first[key] != nil, "\(key)")
      }
      // A file that stands in the way is left alone.
      try program.write("mine", to: "file")
      let refused = try program("sae", "convert", golden + "/saes/gemma-scope/params.npz", "--output", "file")
      #expect(refused.refused(naming: "file"))
      #expect(try program.text("file") == "mine")
    }
  }

  @Test func modelInfo() async throws {
    try await Program.inFolder { program in
      let json = try program("model", "info", Self.model, "--format", "json").json()
      #expect(json["family"] as? String == "llama" && json["blocks"] as? Int == 3 && json["vocabulary"] as? Int == 300)
      #expect(json["tied_unembedding"] as? Bool == true && json["context_length"] as? Int == 256)
    }
  }
}

extension SingleStepTests {
  @Test func benchComparesTheKernelsWithTheMachine() async throws {
    try await Program.inFolder { program in
      let json = try program("bench", "--seconds", "0", "--megabytes", "1", "--threads", "2", "--format", "json").json()
      let rows = try #require(json["comparisons"] as? [[String: Any]])
      #expect(rows.compactMap { $0["peer_name"] as? String } == ["peak of one thread", "one thread"])
      for row in rows {
        for key in ["ours", "peer", "ratio"] { #expect(try #require(row[key] as? Double) > 0) }
      }
      let machine = try #require(json["machine"] as? [String: Any])
      #expect(machine["threads"] as? Int == 2)
    }
  }
}
