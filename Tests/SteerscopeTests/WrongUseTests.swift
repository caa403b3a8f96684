import Foundation
import Testing

/// Wrong arguments and bad files: one line that names the thing, status 2, and nothing written.
@Suite struct WrongUseTests {
  static let model = Program.model
  static let vector = Program.golden + "/llama-tied/expected.safetensors:vector"
  static let sae = Program.golden + "/saes/jumprelu"

  /// Arguments, and what the error says.
  static let calls: [([String], String)] = [
    (["nonsense"], "\"nonsense\""), (["runn", "x"], "did you mean run?"), (["sae", "inf"], "did you mean info?"),
    (["--bogus"], "--bogus"), (["tokenize"], "--model"), (["tokenize", "--model"], "--model"),
    (["tokenize", "--model", model], "one of TEXT"), (["tokenize", "--model", model, "a", "--decode", "1"], "one of"),
    (["tokenize", "--model", model, "--bogus", "a"], "--bogus"),
    (["tokenize", "--model", model, "a", "--format", "xml"], "xml"),
    (["tokenize", "--model", model, "--decode", "-1"], "--decode"),
    (["tokenize", "--model", model, "--decode", "300000"], "300000"),
    (["tokenize", "--model", model, "--file", "none.txt"], "none.txt: expected a readable file, found no such file"),
    (["tokenize", "--model", model, "--file", "."], "a directory"),
    (["tokenize", "--model", "none", "a"], "none: expected a model"),
    (["tokenize", "--model", ".", "a"], "config.json"),
    (["logits", "--model", model, "--prompt", ""], "--prompt: expected at least one token"),
    (["logits", "--model", model, "--prompt", String(repeating: "a b c ", count: 200)], "at most 256 tokens"),
    (["logits", "--model", model, "--prompt", "x", "--top", "-1"], "--top"),
    (["logits", "--model", model, "--prompt", "x", "--tokens", ""], "--tokens"),
    (["logits", "--model", model, "--prompt", "x", "--tokens", "300"], "--tokens: expected ids below 300, found 300"),
    (["logits", "--model", model, "--prompt", "x", "--dtype", "float8"], "--dtype: expected as-stored"),
    (["logits", "--model", model, "--prompt", "x", "--threads", "0"], "--threads"),
    (["logits", "--model", model, "--prompt", "x", "--layer", "1"], "--vector"),
    (["logits", "--model", model, "--prompt", "x", "--vector", vector], "--layer"),
    (["logits", "--model", model, "--prompt", "x", "--vector", vector, "--layer", "3"], "0 to 2, found 3"),
    (["logits", "--model", model, "--prompt", "x", "--vector", vector, "--layer", "-1"], "0 to 2, found -1"),
    (["logits", "--model", model, "--prompt", "x", "--vector", vector, "--layer", "1", "--coefficient", "nan"], "nan"),
    (["logits", "--model", model, "--prompt", "x", "--vector", "none:v", "--layer", "1"], "no such file"),
    (
      ["logits", "--model", model, "--prompt", "x", "--vector", "\(model)/expected.safetensors:no", "--layer", "1"],
      "\"no\""
    ),
    (["activations", "--model", model, "--prompt", "x", "--layers", "-1", "--output", "x"], "--layers"),
    (["activations", "--model", model, "--prompt", "x", "--layers", "0,9", "--output", "x"], "found 9"),
    (["activations", "--model", model, "--prompt", "x", "--layers", "1", "--output", "no/x"], "--output no/x"),
    (["activations", "--model", model, "--prompt", "x", "--layers", "1", "--output", "."], "a directory"),
    (["extract", "--model", model, "--contrast", "none", "--layers", "1", "--output", "x"], "none: expected"),
    (
      [
        "evaluate", "--model", model, "--vector", vector, "--layer", "1", "--questions", "none", "--coefficients", "a",
      ], "--coefficients"
    ),
    (
      [
        "evaluate", "--model", model, "--vector", vector, "--layer", "1", "--questions", "none", "--coefficients", "1",
      ], "none: expected"
    ),
    (["decompose", "--sae", sae, "--vector", vector, "--method", "encod"], "--method"),
    (["decompose", "--sae", sae, "--vector", vector, "--method", "encode"], "16"),
    (["decompose", "--sae", "none", "--vector", vector, "--method", "encode"], "none"),
    (["sae", "info", "."], "cfg.json"), (["sae", "convert", sae, "--output", ""], "--output"),
    (["status"], "steerscope.db"), (["query", "SELECT 1"], "steerscope.db"),
    (["watch", "x", "--interval", "nan"], "nan"),
    (["run", "none.yaml"], "none.yaml"), (["plan", "."], "a directory"),
    (["report", "x", "-o", "no/x.html"], "no/x.html"), (["submit", "none.yaml"], "none.yaml"),
    (["submit", "x", "--priority", "urgent"], "--priority: expected one of high, normal, low"),
    (["coordinator"], "STEERSCOPE_DATABASE"), (["worker"], "`steerscope run SWEEP.yaml` does all of it"),
    (["worker", "--threads", "0"], "--threads"), (["worker", "--drain-seconds", "-1"], "--drain-seconds"),
    (["worker", "--task-seconds", "nan"], "--task-seconds"), (["worker", "--memory-limit", "much"], "--memory-limit"),
    (["worker", "--cache-size", "-5G"], "--cache-size"), (["worker", "--log-format", "xml"], "xml"),
    (["worker", "--metrics-port", "99999"], "--metrics-port"),
    (["worker", "--metrics-address", "127.0.0.1"], "--metrics-address"),
    (["coordinator", "--redispatch-seconds", "0"], "--redispatch-seconds"),
  ]

  @Test(arguments: calls) func oneLineAndStatusTwo(arguments: [String], words: String) async throws {
    try await Program.inFolder { program in
      let process = try program.start(arguments, name: "call")
      process.waitUntilExit()
      let output = Program.Output(status: process.terminationStatus, result: "", words: try program.text("call.err"))
      #expect(process.terminationReason == .exit && output.status == 2, "\(arguments): \(output.words)")
      #expect(output.error?.contains(words) == true, "\(arguments): \(output.words)")
      #expect(try program.text("call.out").isEmpty)
      #expect(try program.names == ["call.err", "call.out"])
    }
  }

  @Test func trainingThatCannotBe() async throws {
    try await Program.inFolder { program in
      for (flag, value) in [
        ("--width", "0"), ("--width", "-3"), ("--width", "99999999999"), ("--steps", "0"), ("--steps", "99999999999"),
        ("--sparsity", "0"), ("--sparsity", "65"), ("--batch", "0"), ("--learning-rate", "nan"),
        ("--learning-rate", "-1"), ("--sample", "0"), ("--sample", "9999999999999"), ("--architecture", "foo"),
        ("--layer", "7"), ("--seed", "-1"), ("--output", "file/sae"),
      ] {
        var flags = [
          "--model": Self.model, "--layer": "1", "--width": "64", "--sample": "512", "--steps": "5", "--output": "sae",
        ]
        flags[flag] = value
        try program.write("a file where a folder should be", to: "file")
        let process = try program.start(["sae", "train"] + flags.flatMap { [$0, $1] }, name: "call")
        process.waitUntilExit()
        let words = try program.text("call.err")
        #expect(process.terminationStatus == 2, "\(flag) \(value): \(words)")
        #expect(
          words.contains(flag.dropFirst(2)) && words.split(separator: "\n").count == 1, "\(flag) \(value): \(words)")
        #expect(!program.exists("sae") && !program.exists("sae.partial"))
      }
    }
  }

  /// Files cut at every so many bytes: an error that names the file, never a crash.
  @Test(arguments: [0, 7, 100, 3000, 20_000]) func truncatedFiles(bytes: Int) async throws {
    try await Program.inFolder { program in
      let golden = Program.golden
      try program.cut(golden + "/llama-f16.gguf", to: "cut.gguf", bytes: bytes)
      #expect(try program("logits", "--model", "cut.gguf", "--prompt", "x").refused(naming: "cut.gguf"))
      try program.cut(golden + "/saes/gemma-scope/params.npz", to: "cut.npz", bytes: min(bytes, 5000))
      #expect(try program("sae", "info", "cut.npz").refused(naming: "cut.npz"))
      try program.cut(golden + "/saes/jumprelu/cfg.json", to: "sae/cfg.json", bytes: .max)
      try program.cut(
        golden + "/saes/jumprelu/sae_weights.safetensors", to: "sae/sae_weights.safetensors", bytes: min(bytes, 5000))
      #expect(try program("sae", "info", "sae").refused(naming: "sae_weights.safetensors"))
      for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        try program.cut("\(Program.model)/\(file)", to: "model/\(file)", bytes: .max)
      }
      try program.cut(Program.model + "/model.safetensors", to: "model/model.safetensors", bytes: bytes)
      #expect(try program("model", "info", "model").refused(naming: "model.safetensors"))
    }
  }

  @Test func questionsThatAreNone() async throws {
    try await Program.inFolder { program in
      let long = String(repeating: "word ", count: 300)
      for (text, words) in [
        ("", "pairs"), ("[]", "pairs"), ("[{", "questions.json"),
        ("[{\"prompt\": \"a\", \"positive\": \"b\"}]", "negative"),
        ("[{\"prompt\": \"a\", \"positive\": \"b\", \"negative\": \"b\"}]", "different"),
        (
          "[{\"prompt\": \"\(long)\", \"positive\": \"b\", \"negative\": \"c\"}]", "item 0: expected at most 256 tokens"
        ),
      ] {
        try program.write(text, to: "questions.json")
        for call in [
          ["extract", "--model", Self.model, "--contrast", "questions.json", "--layers", "1", "--output", "v"],
          [
            "evaluate", "--model", Self.model, "--vector", Self.vector, "--layer", "1", "--questions",
            "questions.json", "--coefficients", "1",
          ],
        ] {
          let process = try program.start(call, name: "call")
          process.waitUntilExit()
          let said = try program.text("call.err")
          #expect(process.terminationStatus == 2 && said.contains(words), "\(said)")
          #expect(!program.exists("v"))
        }
      }
    }
  }

  @Test func everyMistakeOfASweepAtOnce() async throws {
    try await Program.inFolder { program in
      try program.write("nme: x\nmodel: {path: none}\nlayers: [0]\nseed: -1\n", to: "sweep.yaml")
      for command in ["plan", "run"] {
        let output = try program(command, "sweep.yaml")
        #expect(output.status == 2 && output.result.isEmpty)
        let lines = output.words.split(separator: "\n")
        #expect(lines.count >= 2 && lines.allSatisfy { $0.hasPrefix("error: sweep.yaml:") }, "\(output.words)")
        #expect(output.words.contains("did you mean name?"))
      }
      #expect(try program.names == ["sweep.yaml"])
    }
  }

  /// Before any task runs: a prompt that the context can't hold, and answers that no token tells apart.
  @Test func pairsThatTheModelCannotBeAsked() async throws {
    try await Program.inFolder { program in
      let long = String(repeating: "word ", count: 4000)
      try program.write(
        #"[{"prompt": "Is it? ", "positive": "yes", "negative": "no"}, {"prompt": "\#(long)", "positive": "b", "negative": "c"}]"#,
        to: "long.json")
      try program.write(
        #"[{"prompt": "Is it? ", "positive": "yes", "negative": "yes."}, {"prompt": "Which? ", "positive": "b", "negative": "c"}]"#,
        to: "same.json")
      try program.write(
        """
        name: x
        model: {path: \(Program.model), prompt: raw}
        activations: {sample: 512}
        behaviours: [{name: a, extract: same.json, evaluate: long.json}]
        layers: [0]

        """, to: "sweep.yaml")
      for command in ["plan", "run"] {
        let output = try program(command, "sweep.yaml")
        #expect(output.status == 2)
        #expect(output.words.contains("long.json: item 1: expected at most"), "\(output.words)")
        #expect(output.words.contains("same.json: item 0: expected answers that differ"), "\(output.words)")
      }
    }
  }

  @Test func databasesThatAreNone() async throws {
    try await Program.inFolder { program in
      try program.write("this is no database", to: "text.db")
      for (setting, words) in [
        ("sqlite:text.db", "text.db"), ("sqlite:.", "a directory"), ("sqlite:", "STEERSCOPE_DATABASE"),
        ("mysql://x", "STEERSCOPE_DATABASE"), ("nonsense", "STEERSCOPE_DATABASE"),
      ] {
        let output = try program("status", environment: ["STEERSCOPE_DATABASE": setting])
        #expect(output.refused(naming: words), "\(setting): \(output.words)")
      }
      let secret = try program("status", environment: ["STEERSCOPE_DATABASE": "postgresql://me:secret@host/db"])
      #expect(secret.status != 0 && !secret.words.contains("secret"))
      let file = try program("status", environment: ["STEERSCOPE_DATABASE_FILE": "none"])
      #expect(file.refused(naming: "STEERSCOPE_DATABASE_FILE"), "\(file.words)")
      #expect(try program.text("text.db") == "this is no database")
    }
  }

  /// Servers that a long-running process can't do without, and passwords that nobody sees.
  @Test func clustersThatAreNone() async throws {
    try await Program.inFolder { program in
      let database = "postgresql://me:s3cretword@127.0.0.1:1/db"
      for command in ["coordinator", "worker"] {
        let lite = try program(
          command, environment: ["STEERSCOPE_DATABASE": "sqlite:x.db", "STEERSCOPE_BROKER": "amqp://h"])
        #expect(lite.refused(naming: "found a SQLite file"), "\(lite.words)")
        let alone = try program(command, environment: ["STEERSCOPE_DATABASE": database])
        #expect(alone.refused(naming: "STEERSCOPE_BROKER"), "\(alone.words)")
        for broker in ["http://x", "amqp://me:s3cretword@h:x/", "amqp://me:s3cret%zz@h"] {
          let output = try program(
            command, environment: ["STEERSCOPE_DATABASE": database, "STEERSCOPE_BROKER": broker])
          #expect(output.refused(naming: "STEERSCOPE_BROKER"), "\(output.words)")
          #expect(!output.words.contains("s3cret"))
        }
      }
      try program.write("\n", to: "empty")
      let empty = try program(
        "worker", environment: ["STEERSCOPE_BROKER_FILE": "empty", "STEERSCOPE_DATABASE": database])
      #expect(empty.refused(naming: "STEERSCOPE_BROKER_FILE"), "\(empty.words)")
      #expect(try program.names == ["empty"])
    }
  }

  @Test func helpAndVersion() async throws {
    try await Program.inFolder { program in
      let help = try program("--help")
      #expect(help.status == 0 && help.words.isEmpty)
      for command in [
        "run", "plan", "status", "watch", "retry", "delete", "report", "query", "export", "extract", "submit",
        "coordinator", "worker", "doctor",
      ] {
        #expect(help.result.contains("  \(command) "))
        #expect(try program(command, "--help").status == 0)
      }
      #expect(try program("--version").result.hasPrefix("steerscope "))
    }
  }

  /// A result that can't be written is a failure, not a success.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"))) func fullDiskUnderTheResult() async throws {
    try await Program.inFolder { program in
      let process = Process()
      process.executableURL = URL(fileURLWithPath: Program.path)
      process.arguments = ["model", "info", Program.model]
      process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
      let words = Pipe()
      process.standardError = words
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationStatus == 1)
      let said = String(decoding: words.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      #expect(said.hasPrefix("error: standard output"))
    }
  }
}

extension Program.Output {
  /// Whether the call ended as one with bad input does: status 2, no result, one line that names the thing.
  func refused(naming words: String) -> Bool { status == 2 && result.isEmpty && error?.contains(words) == true }
}
