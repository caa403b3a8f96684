import Messaging
import SweepRecords

/// Messages that no coordinator sends.
enum Nonsense {
  /// Unreadable, oversized, deeply nested, or about nothing that is there.
  static func garbage(seed: UInt64) -> [OutgoingMessage] {
    var random = SplitMix(seed: seed)
    let noise = (0..<500).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let bodies: [[UInt8]] = [
      [], noise, Array("null".utf8), Array("{}".utf8), Array("{\"schema\": 1".utf8), [0xff, 0xfe, 0x00],
      Array(String(repeating: "[", count: 50_000).utf8), Array(String(repeating: "{\"a\":", count: 10_000).utf8),
      Array("{\"schema\": 1, \"task\": \"one\", \"dispatch\": [], \"kind\": 7, \"sweep\": null}".utf8),
      Array("{\"schema\": 1e400, \"task\": 1}".utf8),
      body(task: "-1"), body(task: "9223372036854775807"), body(task: "9223372036854775808"), body(task: "0"),
      body(task: "123456789"), body(task: "1.5"), body(kind: "unheard-of"),
    ]
    return bodies.enumerated().map { OutgoingMessage(id: "garbage:\($0)", priority: .normal, body: $1) }
  }

  /// Newer schemas.
  static let future = ["2", "99", "18446744073709551616"].map { schema in
    OutgoingMessage(id: "future:\(schema)", priority: .normal, body: body(schema: schema))
  }

  private static func body(
    schema: String = "1", task: String = "1", kind: String = "score"
  ) -> [UInt8] {
    Array(
      """
      {"schema":\(schema),"sweep":"nowhere","task":\(task),"dispatch":1,"kind":"\(kind)","methods":[],"coefficients":[]}
      """.utf8)
  }
}
