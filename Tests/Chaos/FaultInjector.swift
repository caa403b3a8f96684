import Foundation
import Messaging
import SweepRecords
import TestServers

/// Does to a cluster what a schedule says.
actor FaultInjector {
  let cluster: TestCluster
  private(set) var tally = FaultTally()
  /// What went wrong with the faults themselves.
  private(set) var notes: [String] = []
  /// One fault at a time for each thing that faults take away.
  private let broker = Turnstile()
  private let database = Turnstile()
  private var members: [String: Turnstile] = [:]
  private var extraCoordinators = 0

  init(_ cluster: TestCluster) {
    self.cluster = cluster
    if cluster.remote == nil { tally.skip(.hostCut, because: cluster.whyNoRemote) }
  }

  /// The kinds that can be had on this machine.
  var kinds: [FaultKind] { FaultKind.allCases.filter { tally.skipped[$0] == nil } }

  /// Injects the faults at their times; returns when the last is over. Kinds that failed are tried again at the end.
  func run(_ schedule: FaultSchedule, report: @escaping @Sendable (Fault) -> Void) async {
    let clock = ContinuousClock()
    let start = clock.now
    await withTaskGroup(of: Void.self) { group in
      for fault in schedule.faults {
        try? await clock.sleep(until: start + .seconds(fault.at))
        report(fault)
        group.addTask { await self.inject(fault) }
      }
    }
    for kind in kinds where tally.times(kind) == 0 {
      for attempt in 0..<3 where tally.times(kind) == 0 {
        let fault = Fault(at: 0, kind: kind, target: attempt, length: 0.5)
        report(fault)
        await inject(fault)
      }
    }
  }

  private func inject(_ fault: Fault) async {
    do {
      let hits = try await perform(fault)
      if hits > 0 { tally.count(fault.kind, hits: hits) }
    } catch {
      notes.append("\(fault.kind.rawValue): \("\(error)".prefix(300))")
    }
  }

  private func turnstile(_ name: String) -> Turnstile {
    let turnstile = members[name] ?? Turnstile()
    members[name] = turnstile
    return turnstile
  }

  /// - Returns: how many processes, connections or messages it met.
  private func perform(_ fault: Fault) async throws -> Int {
    let worker = cluster.workerNames[fault.target % cluster.workerNames.count]
    return switch fault.kind {
    case .workerKilled: try await restart(worker, SIGKILL, fault)
    case .workerTerminated: try await restart(worker, SIGTERM, fault)
    case .workerStopped: try await stop(worker, fault)
    case .coordinatorKilled: try await restart("coordinator-1", SIGKILL, fault)
    case .secondCoordinator: try await secondCoordinator(fault)
    case .brokerKilled:
      try await broker.pass { try await killed("rabbitmq", for: fault.length) }
    case .queuesPurged: try await broker.pass { try await purge() }
    case .queueDeleted:
      try await broker.pass { try await deleteQueue(["normal", "normal", "dead", "high"][fault.target % 4]) }
    case .connectionsClosed:
      try await broker.pass {
        try await cluster.servers.run(["rabbitmqctl", "close_all_connections", "chaos"])
        return 1
      }
    case .messagesDuplicated: try await broker.pass { try await duplicate(for: 2 + 2 * fault.length) }
    case .garbagePublished:
      try await publish(Nonsense.garbage(seed: UInt64(fault.target))) + (try await publishOversized())
    case .futurePublished: try await publish(try await fromTheFuture())
    case .databaseRestarted:
      try await database.pass {
        try await cluster.servers.call("stop", "postgresql")
        try await Task.sleep(for: .seconds(2 * fault.length))
        try await cluster.servers.call("start", "postgresql")
        return 1
      }
    case .databaseKilled:
      try await database.pass { try await killed("postgresql", for: fault.length) }
    case .commitsCut: try await database.pass { try await cutCommits() }
    case .sessionsCut: try await database.pass { try await cutSessions(fault.target) }
    case .proxyFrozen, .proxyStranded, .proxyCut: try await disturb(fault)
    case .hostCut: try await cutHost(fault)
    }
  }

  // MARK: Processes

  private func restart(_ name: String, _ signal: Int32, _ fault: Fault) async throws -> Int {
    try await turnstile(name).pass {
      try await cluster.cluster.restart(name, signal, after: 0.2 + 2 * fault.length)
      return 1
    }
  }

  private func stop(_ name: String, _ fault: Fault) async throws -> Int {
    try await turnstile(name).pass {
      guard await cluster.cluster.isRunning(name) else { return 0 }
      await cluster.cluster.signal(name, SIGSTOP)
      try await Task.sleep(for: .seconds(TestCluster.lease * (1.5 + fault.length)))
      await cluster.cluster.signal(name, SIGCONT)
      return 1
    }
  }

  private func secondCoordinator(_ fault: Fault) async throws -> Int {
    extraCoordinators += 1
    let name = "coordinator-\(1 + extraCoordinators)"
    try await cluster.cluster.start(try cluster.coordinator(name))
    try await Task.sleep(for: .seconds(4 + 8 * fault.length))
    await cluster.cluster.dismiss(name, fault.target % 2 == 0 ? SIGTERM : SIGKILL)
    return 1
  }

  /// SIGKILL to a server, and its return.
  private func killed(_ server: String, for length: Double) async throws -> Int {
    try await cluster.servers.call("kill", server)
    try await Task.sleep(for: .seconds(length))
    try await cluster.servers.call("start", server)
    return 1
  }

  // MARK: The broker

  private func purge() async throws -> Int {
    for name in ["high", "normal", "low"] {
      try await cluster.servers.run(["rabbitmqctl", "purge_queue", "steerscope.\(name)"])
    }
    return 3
  }

  private func deleteQueue(_ name: String) async throws -> Int {
    try await cluster.servers.run(["rabbitmqctl", "delete_queue", "steerscope.\(name)"])
    return 1
  }

  private func publish(_ messages: [OutgoingMessage]) async throws -> Int {
    let queue = try cluster.queue()
    let outcomes = await queue.publish(messages)
    await queue.close()
    let taken = outcomes.count { $0 == .confirmed }
    if taken == 0, let first = outcomes.first { throw ChaosError("not published: \(first)") }
    return taken
  }

  /// A message too long for our own queue to send: published from inside the node.
  private func publishOversized() async throws -> Int {
    try await cluster.servers.run([
      "rabbitmqctl", "eval",
      """
      rabbit_basic:publish({resource, <<"/">>, exchange, <<>>}, <<"steerscope.normal">>, [], \
      binary:copy(<<" ">>, 3000000)).
      """,
    ])
    return 1
  }

  /// Binds another queue, which workers consume as well, to where tasks are published: the broker itself delivers every
  /// message twice meanwhile.
  ///
  /// - Returns: how many tasks were dispatched meanwhile.
  private func duplicate(for seconds: Double) async throws -> Int {
    let topology = AMQPTopology()
    let binding = """
      {binding, {resource, <<"/">>, exchange, <<"\(topology.exchange.name)">>}, \
      <<"\(topology.routingKey(.normal))">>, {resource, <<"/">>, queue, <<"\(topology.queue(.low))">>}, []}
      """
    func evaluate(_ action: String) async throws {
      let answer = try await cluster.servers.run(
        ["rabbitmqctl", "eval", "rabbit_binding:\(action)(\(binding), <<\"chaos\">>)."])
      guard answer.contains("ok") else { throw ChaosError("\(action) of a binding: \(answer)") }
    }
    try await evaluate("add")
    var count = 0
    do {
      let before = try await dispatches()
      try await Task.sleep(for: .seconds(seconds))
      count = try await dispatches() - before
    } catch { notes.append("every message duplicated: not counted: \("\(error)".prefix(200))") }
    try await evaluate("remove")
    return count
  }

  /// How often tasks were dispatched so far.
  private func dispatches() async throws -> Int {
    Int(try await cluster.sql("SELECT coalesce(sum(dispatch), 0) FROM steerscope.task").first ?? "") ?? 0
  }

  /// The messages of all dispatched tasks, made from their rows.
  private func queued(limit: Int) async throws -> [OutgoingMessage] {
    let lines = try await cluster.sql(
      """
      SELECT t.id, t.dispatch, t.kind, t.queue, min(s.id) FROM steerscope.task t
      JOIN steerscope.sweep_task st ON st.task = t.id JOIN steerscope.sweep s ON s.number = st.sweep
      WHERE t.state IN ('queued', 'running') AND t.queue IS NOT NULL GROUP BY t.id LIMIT \(limit)
      """)
    return try lines.compactMap { line in
      let parts = line.split(separator: "|").map(String.init)
      guard parts.count == 5, let task = Int64(parts[0]), let dispatch = Int(parts[1]),
        let kind = TaskKind(rawValue: parts[2]), let priority = SweepPriority(rawValue: parts[3])
      else { return nil }
      let message = TaskMessage(sweep: parts[4], task: task, dispatch: dispatch, kind: kind)
      return OutgoingMessage(id: message.id, priority: priority, body: try message.body())
    }
  }

  /// What a later version may send, about tasks that are there.
  private func fromTheFuture() async throws -> [OutgoingMessage] {
    let present = try await queued(limit: 8)
    let future = present.map { message in
      var message = message
      message.body = Array(
        String(decoding: message.body, as: UTF8.self)
          .replacingOccurrences(of: "\"schema\":1", with: "\"schema\":2,\"shape\":{\"of\":\"things to come\"}").utf8)
      return message
    }
    return future + Nonsense.future
  }

  // MARK: The database

  /// Makes every commit wait for a standby that is not there, ends those who wait, and lets the rest go on: they have
  /// committed, and don't know.
  private func cutCommits() async throws -> Int {
    try await cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    var count = 0
    var failure: (any Error)?
    do {
      for _ in 0..<40 where count == 0 {
        try await Task.sleep(for: .milliseconds(250))
        count = try await cluster.sql(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ).count { $0 == "t" }
      }
    } catch { failure = error }
    try await cluster.sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    if let failure { throw failure }
    return count
  }

  private func cutSessions(_ number: Int) async throws -> Int {
    try await cluster.sql(
      """
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND (pid + \(number % 2)) % 2 = 0
      """
    ).count { $0 == "t" }
  }

  // MARK: The network

  private func disturb(_ fault: Fault) async throws -> Int {
    let names = cluster.proxies.keys.sorted()
    let name = names[fault.target % names.count]
    // Its database, its broker, or both.
    let pair = cluster.proxies[name] ?? []
    let choice = fault.target / names.count % 3
    let proxies = choice == 2 ? pair : [pair[choice]]
    switch fault.kind {
    case .proxyStranded: return proxies.reduce(0) { $0 + $1.strand() }
    case .proxyCut: return proxies.reduce(0) { $0 + $1.cut() }
    default:
      for proxy in proxies { proxy.freeze() }
      try await Task.sleep(for: .seconds(TestCluster.lease * (1.5 + fault.length)))
      for proxy in proxies { proxy.thaw() }
      return proxies.count
    }
  }

  private func cutHost(_ fault: Fault) async throws -> Int {
    guard let remote = cluster.remote else { return 0 }
    return try await turnstile("cable").pass {
      try await remote.cut()
      try await Task.sleep(for: .seconds(TestCluster.lease * (1.5 + 2 * fault.length)))
      try await remote.join()
      return 1
    }
  }
}

/// Lets one through at a time, in the order of arrival.
actor Turnstile {
  private var isTaken = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func pass<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
    if isTaken { await withCheckedContinuation { waiting.append($0) } }
    isTaken = true
    defer {
      if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
    return try await body()
  }
}
