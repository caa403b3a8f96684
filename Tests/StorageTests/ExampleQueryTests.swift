import Foundation
import SweepRecords
import Testing

@testable import Storage

/// `schemas/examples.sql`: the questions run, and have the same answers, on both databases.
@Suite struct ExampleQueryTests {
  /// Question and statement.
  private static func examples() throws -> [(question: String, sql: String)] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../schemas/examples.sql")
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\n\n").compactMap { part in
      let lines = part.split(separator: "\n")
      guard let question = lines.first, question.contains(#/^-- \d+\. /#) else { return nil }
      return (String(question), lines.dropFirst().joined(separator: "\n"))
    }
  }

  private static let settings: [String: Cell] = [
    "unit": "vector", "positions": "scored", "score": "per-token", "n": 20,
  ]

  private static func rows() -> [TableRow] {
    var rows: [TableRow] = []
    for (layer, share) in [(12, 0.25), (15, 0.75)] {
      let place: [String: Cell] = ["behaviour": "power-seeking", "layer": .integer(layer)]
      let code = place.merging([
        "sae": "16k", "method": "gradient-pursuit-signed", "sparsity": "32", "convention": "without-bias",
      ]) { $1 }
      let variants: [(cells: [String: Cell], slope: Double)] = [
        (place.merging(["variant": "original", "norm": "raw"]) { $1 }, 0.5),
        (place.merging(["variant": "random-0", "norm": "raw"]) { $1 }, 0.03125),
        (code.merging(["variant": "reconstruction", "norm": "matched"]) { $1 }, 0.5 * share),
      ]
      for (cells, slope) in variants {
        let named = cells.merging(settings) { $1 }
        let scored: [String: Cell] = [
          "slope": .real(slope), "slope_error": 0.125, "anti_steerable_share": 0.25, "spearman": 1.0,
          "slope_letter_a": .real(slope), "slope_letter_b": .real(slope),
        ]
        rows.append(TableRow(.steerabilityScore, named.merging(scored) { $1 }))
        for coefficient in [-1.0, 0, 1] {
          let point: [String: Cell] = [
            "coefficient": .real(coefficient), "propensity": .real(slope * coefficient), "cross_entropy_change": 0.5,
          ]
          rows.append(TableRow(.evaluation, named.merging(point) { $1 }))
        }
      }
      let configured: [String: Cell] = [
        "width": 16384, "configured": 1, "input_convention": "b_dec-kept", "coefficient": 1.0,
        "cosine": .real(share < 0.5 ? 0.9375 : 0.25), "relative_error": 0.5, "norm_ratio": 0.5, "l0": 30,
        "negative_energy": 0.25,
      ]
      rows.append(TableRow(.decomposition, code.merging(configured) { $1 }))
      let encoded: [String: Cell] = [
        "method": "encode", "sparsity": "all", "zero_overlap": .real(share), "bias_share": 0.5, "norm_percentile": 1.5,
        "negative_energy": .null,
      ]
      rows.append(TableRow(.decomposition, code.merging(configured) { $1 }.merging(encoded) { $1 }))
      let differences: [String: Cell] = [
        "method": "pair-difference", "sparsity": "all", "negative_top100": 47, "negative_projection_top100": 30,
        "random_negative_top100": 49.5, "negative_energy": .null,
      ]
      rows.append(TableRow(.decomposition, code.merging(configured) { $1 }.merging(differences) { $1 }))
      for rank in 0..<12 {
        let feature: [String: Cell] = [
          "rank": .integer(rank), "feature": .integer(100 + rank), "coefficient": .real(1 / Double(1 + rank)),
          "projection": .real(-0.5), "in_zero_vector": 0, "promoted_tokens": "[\" power\"]",
        ]
        rows.append(TableRow(.decompositionFeature, code.merging(feature) { $1 }))
      }
    }
    return rows
  }

  /// Two sweeps that have something to say to every question.
  private func store(_ fixture: StoreFixture) async throws -> any ResultStore {
    let store = try fixture.open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    let first = try await store.add(
      SweepSubmission("persona-smollm2"), [.init("x"), .init("f", kind: .decompose, layer: 12)], as: leader)
    try await store.add(SweepSubmission("persona-gemma"), [.init("y")], as: leader)
    for name in ["x", "y"] {
      let task = try #require(try await store.claim([name], by: "worker").first)
      fixture.clock.advance(4)
      try await store.finish(task, by: "worker", TaskResult(rows: Self.rows()))
    }
    let bad = try #require(try await store.claim(["f"], by: "worker").first)
    let failure = TaskFailure(lease: bad.lease, fault: .task, error: "not finite", jitter: 0)
    _ = try await store.fail(failure, worker: WorkerID("worker"), policy: RetryPolicy())
    try await store.note(problem: "no live worker has gemma.gguf", of: first, as: leader)
    return store
  }

  @Test func `every question has an answer, the same on both databases`() async throws {
    let examples = try Self.examples()
    #expect(examples.count >= 12)
    let fixtures = [try await StoreFixture(.sqlite), try await StoreFixture(.postgresql)]
    let sqlite = try await store(fixtures[0])
    let postgresql = try await store(fixtures[1])
    for (question, sql) in examples {
      let answer = try await sqlite.query(sql, limits: QueryLimits())
      #expect(!answer.rows.isEmpty, "\(question)")
      let same = try await postgresql.query(sql, limits: QueryLimits())
      #expect(answer == same, "\(question)")
    }
  }
}
