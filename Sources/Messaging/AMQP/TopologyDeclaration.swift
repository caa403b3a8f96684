/// The declaration of the whole topology, underway on a service channel. Declaring what is there already changes
/// nothing.
struct TopologyDeclaration: Sendable {
  private let topology: AMQPTopology
  private var open: [Int: ClientMethod] = [:]
  private var failure: QueueError?

  init(_ topology: AMQPTopology) { self.topology = topology }

  mutating func request(_ channel: inout ServiceChannel) {
    for method in topology.declarations { open[channel.request(method)] = method }
  }

  /// Notes an answer. Returns the outcome once all have come: the first failure, if any.
  mutating func answered(_ number: Int, _ answer: ServiceChannel.Answer) -> Result<Void, QueueError>? {
    guard let method = open.removeValue(forKey: number) else { return nil }
    if case .denied(let closure) = answer, failure == nil { failure = Self.error(closure, for: method) }
    guard open.isEmpty else { return nil }
    return failure.map { .failure($0) } ?? .success(())
  }

  private static func error(_ closure: Closure, for method: ClientMethod) -> QueueError {
    let (subject, remedy): (String, String) =
      switch method {
      case .exchangeDeclare(let exchange):
        ("exchange \(exchange.name)", "delete it, and let the coordinator declare it")
      case .queueDeclare(let queue):
        (
          "queue \(queue.name)",
          "delete it (rabbitmqctl delete_queue \(queue.name)), and let the coordinator declare it; no task is lost"
        )
      case .queueBind(let binding): ("binding of queue \(binding.queue)", "import ops/rabbitmq/definitions.json")
      default: ("topology", "import ops/rabbitmq/definitions.json")
      }
    return switch closure.code {
    case Closure.preconditionFailed:
      QueueError(.refused, "\(subject) has other properties than ours (\(closure.text)): \(remedy)")
    case Closure.accessRefused:
      QueueError(
        .refused,
        "\(subject) may not be declared by this user (\(closure.text)): give it rights to configure, write and read, or "
          + "import ops/rabbitmq/definitions.json")
    default: QueueError(.refused, "\(subject): \(closure.code) \(closure.text)")
    }
  }
}
