import Foundation
import Messaging
import SweepRecords
import Testing

@Suite struct AMQPTopologyTests {
  private struct Definitions: Decodable {
    struct Exchange: Decodable {
      var name, vhost, type: String
      var durable, auto_delete, `internal`: Bool
    }
    struct Queue: Decodable {
      var name, vhost: String
      var durable, auto_delete: Bool
      var arguments: [String: Argument]
    }
    struct Binding: Decodable, Hashable { var source, vhost, destination, destination_type, routing_key: String }
    struct User: Decodable { var name, password_hash, tags: String }
    struct Permission: Decodable { var user, vhost, configure, write, read: String }
    struct Policy: Decodable {
      var pattern: String
      var definition: [String: Argument]
    }
    enum Argument: Decodable, Equatable {
      case text(String), number(Int)
      init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let number = try? value.decode(Int.self) {
          self = .number(number)
        } else {
          self = .text(try value.decode(String.self))
        }
      }
    }
    var exchanges: [Exchange]
    var queues: [Queue]
    var bindings: [Binding]
    var users: [User]
    var permissions: [Permission]
    var policies: [Policy]
  }

  private func definitions() throws -> Definitions {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../ops/rabbitmq/definitions.json").standardizedFileURL
    return try JSONDecoder().decode(Definitions.self, from: Data(contentsOf: file))
  }

  /// What a broker imports is what the program declares.
  @Test func definitionsAreWhatIsDeclared() throws {
    let (file, topology) = (try definitions(), AMQPTopology())
    let exchange = try #require(file.exchanges.first)
    #expect(file.exchanges.count == 1 && exchange.name == topology.exchange.name)
    #expect(exchange.type == "direct" && exchange.durable && !exchange.auto_delete && !exchange.internal)
    #expect(file.queues.map(\.name) == topology.queues.map(\.name))
    for (queue, declared) in zip(file.queues, topology.queues) {
      #expect(queue.durable && !queue.auto_delete)
      let arguments = declared.arguments.map { name, value in
        switch value {
        case .text(let text): (name, Definitions.Argument.text(text))
        case .number(let number): (name, Definitions.Argument.number(Int(number)))
        }
      }
      #expect(queue.arguments == Dictionary(uniqueKeysWithValues: arguments))
    }
    #expect(
      file.bindings
        == topology.bindings.map {
          .init(
            source: $0.exchange, vhost: "steerscope", destination: $0.queue, destination_type: "queue",
            routing_key: $0.routingKey)
        })
  }

  @Test func usersHaveNoPasswordsAndTheLeastRights() throws {
    let file = try definitions()
    #expect(file.users.map(\.name) == ["steerscope_coordinator", "steerscope_worker"])
    #expect(file.users.allSatisfy { $0.password_hash.isEmpty && $0.tags.isEmpty })
    let topology = AMQPTopology()
    let worker = try #require(file.permissions.first { $0.user == "steerscope_worker" })
    for queue in topology.queues {
      #expect(queue.name.firstMatch(of: try Regex(worker.configure)) == nil)
      #expect(queue.name.firstMatch(of: try Regex(worker.write)) == nil)
      #expect((queue.name.firstMatch(of: try Regex(worker.read)) != nil) == (queue.name != topology.deadLetterQueue))
    }
    let coordinator = try #require(file.permissions.first { $0.user == "steerscope_coordinator" })
    for pattern in [coordinator.configure, coordinator.write, coordinator.read] {
      for name in topology.queues.map(\.name) + [topology.exchange.name] {
        #expect(name.firstMatch(of: try Regex(pattern)) != nil)
      }
      #expect("amq.direct".firstMatch(of: try Regex(pattern)) == nil)
    }
    // A queue has one policy at most.
    for queue in topology.queues {
      let policies = try file.policies.count { queue.name.firstMatch(of: try Regex($0.pattern)) != nil }
      #expect(policies == 1)
    }
  }

  @Test func prefixesKeepTestsApart() {
    let topology = AMQPTopology(prefix: "x")
    #expect(topology.queues.map(\.name) == ["x.high", "x.normal", "x.low", "x.dead"])
    #expect(topology.queues.allSatisfy { $0.deadLetters.map { $0.exchange == "x.tasks" } ?? true })
  }
}
