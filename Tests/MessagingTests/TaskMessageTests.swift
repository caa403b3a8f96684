import Diagnostics
import Foundation
import Messaging
import SweepRecords
import Testing

@Suite struct TaskMessageTests {
  private let full = TaskMessage(
    sweep: "0123456789ab", task: 42, dispatch: 3, kind: .decompose, layer: 14,
    sae: .init(name: "16k/l0-83", width: 16384, l0: 83), methods: ["encode", "gradient-pursuit"],
    coefficients: [-1, 0, 0.5])

  /// The spelling of version 1: old messages must stay readable, so this text never changes.
  private let golden =
    #"{"coefficients":[-1,0,0.5],"dispatch":3,"kind":"decompose","layer":14,"methods":["encode","gradient-pursuit"],"#
    + #""sae":{"l0":83,"name":"16k/l0-83","width":16384},"schema":1,"sweep":"0123456789ab","task":42}"#

  @Test func spellsVersionOne() throws {
    #expect(String(decoding: try full.body(), as: UTF8.self) == golden)
    #expect(try TaskMessage(parsing: Array(golden.utf8)) == full)
    #expect(full.id == "42:3")
  }

  @Test(arguments: TaskKind.allCases)
  func readsWhatItWrote(_ kind: TaskKind) throws {
    let message = TaskMessage(sweep: "a", task: .max, dispatch: 1, kind: kind)
    #expect(try TaskMessage(parsing: message.body()) == message)
  }

  @Test func readsTheLeastAndIgnoresTheUnknown() throws {
    let least = #"{"schema":1,"sweep":"s","task":1,"dispatch":1,"kind":"score","colour":{"red":[1]}}"#
    #expect(
      try TaskMessage(parsing: Array(least.utf8)) == TaskMessage(sweep: "s", task: 1, dispatch: 1, kind: .score))
  }

  @Test func coversWhatTheWorkDoes() throws {
    let key = Digest(of: "task")
    let source = InputReference.output(task: key, name: "vectors")
    let variant = { (sae: String?, method: String?) in
      SteeringVariant(
        variant: "reconstruction", sae: sae, method: method, sparsity: .all, convention: nil, norm: .raw,
        source: source, tensor: "x")
    }
    let work = TaskWork.evaluate(
      EvaluateWork(
        model: ModelReference(digest: key, weights: "as-stored", template: "raw"), behaviour: "b", layer: 3,
        questions: .artifact(key), from: 0, to: 4,
        variants: [variant(nil, nil), variant("16k/l0-83", "encode"), variant("16k/l0-83", "encode")],
        original: VectorReference(behaviour: "b", source: source, tensor: "original.3", pairs: []),
        settings: SteeringSettings(coefficients: [-2, 2], unit: .vector, positions: .scored, score: .sum),
        statistics: nil, keepQuestions: false))
    let message = TaskMessage(sweep: "s", task: 1, dispatch: 1, kind: .evaluate, layer: 3, work: work)
    #expect(message.sae == .init(name: "16k/l0-83", width: nil, l0: 83))
    #expect(message.methods == ["encode"])
    #expect(message.coefficients == [-2, 2])
  }

  @Test func leavesOutWhatWouldBeTooLong() throws {
    var long = full
    long.coefficients = (0..<50_000).map { Double($0) / 7 }
    let body = try long.body()
    #expect(body.count < 1000)
    #expect(try TaskMessage(parsing: body).task == 42)
  }

  @Test(
    arguments: [
      ("", .unreadable), ("null", .unreadable), ("[]", .unreadable), ("{}", .unreadable),
      ("{\"schema\":1", .unreadable),
      ("\u{0}\u{1}\u{2}", .unreadable), ("{\"schema\":\"1\"}", .unreadable), ("{\"schema\":0}", .unreadable),
      ("{\"schema\":1}", .unreadable), ("{\"schema\":2}", .newerSchema),
      ("{\"schema\":2,\"task\":{\"moved\":true}}", .newerSchema),
      ("{\"schema\":99999999999999999999}", .unreadable),
      (#"{"schema":1,"sweep":"s","task":1.5,"dispatch":1,"kind":"score"}"#, .unreadable),
      (#"{"schema":1,"sweep":"s","task":-1,"dispatch":1,"kind":"score"}"#, .unreadable),
      (#"{"schema":1,"sweep":"s","task":1,"dispatch":0,"kind":"score"}"#, .unreadable),
      (#"{"schema":1,"sweep":"","task":1,"dispatch":1,"kind":"score"}"#, .unreadable),
      (#"{"schema":1,"sweep":"s","task":1,"dispatch":1,"kind":"dance"}"#, .unreadable),
    ] as [(String, DeadLetter.Reason)])
  func namesWhatCannotBeRead(_ body: String, _ reason: DeadLetter.Reason) throws {
    let letter = try #require(throws: DeadLetter.self) { try TaskMessage(parsing: Array(body.utf8)) }
    #expect(letter.reason == reason)
    #expect(letter.description.contains("task message: expected"))
  }

  @Test func refusesTheLongAndTheDeep() throws {
    let bodies = [
      String(repeating: "[", count: 60_000), #"{"schema":1,"a":"# + String(repeating: "{\"a\":", count: 200),
      "\"" + String(repeating: "x", count: 70_000) + "\"",
    ]
    for body in bodies {
      let letter = try #require(throws: DeadLetter.self) { try TaskMessage(parsing: Array(body.utf8)) }
      #expect(letter.reason == .oversized)
    }
  }

  @Test func neverCrashesOnDamage() throws {
    let body = Array(golden.utf8)
    for end in body.indices { #expect(throws: DeadLetter.self) { try TaskMessage(parsing: Array(body[..<end])) } }
    for index in body.indices {
      var damaged = body
      damaged[index] ^= 0x80
      _ = try? TaskMessage(parsing: damaged)
    }
  }

  @Test func schemaNamesTheSameKeysAndKinds() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../schemas/messages/task.schema.json").standardizedFileURL
    let schema = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    let properties = try #require(schema["properties"] as? [String: [String: Any]])
    let written = try #require(
      try JSONSerialization.jsonObject(with: Data(full.body())) as? [String: Any])
    #expect(Set(properties.keys) == Set(written.keys))
    #expect(properties["schema"]?["const"] as? Int == TaskMessage.schema)
    #expect(properties["kind"]?["enum"] as? [String] == TaskKind.allCases.map(\.rawValue))
    for key in try #require(schema["required"] as? [String]) {
      var object = written
      object[key] = nil
      let body = try JSONSerialization.data(withJSONObject: object)
      #expect(throws: DeadLetter.self) { try TaskMessage(parsing: [UInt8](body)) }
    }
  }
}
