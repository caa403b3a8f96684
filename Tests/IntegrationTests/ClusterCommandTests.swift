import Foundation
import ResultDump
import Storage
import TestServers
import Testing

/// Sweeps from the command line, on a cluster of processes.
@Suite(.timeLimit(.minutes(10)), .serialized) struct ClusterCommandTests {
  @Test func onlyWhatIsNewRuns() async throws {
    try await ClusterProgram.run { cluster in
      try cluster.writeSweep("grown", layers: "[0]", to: "sweep.yaml")
      let coordinator = try cluster.coordinator()
      let worker = try cluster.worker()
      let first = try await cluster.call("submit", "sweep.yaml")
      #expect(first.status == 0, "\(first.words)")
      #expect(try await cluster.ended("grown") == "done")
      let tasks = try await cluster.number("SELECT count(*) FROM task")
      #expect(tasks > 8)

      // The same file again is the same sweep, and runs nothing.
      let again = try await cluster.call("submit", "sweep.yaml")
      #expect(again.status == 0 && again.result == first.result && again.words.contains("there already"))
      #expect(try await cluster.number("SELECT count(*) FROM sweep") == 1)
      #expect(try await cluster.number("SELECT count(*) FROM task_attempt WHERE outcome = 'done'") == tasks)

      // With a layer more, what the sweeps have in common is not run again.
      try cluster.writeSweep("grown", layers: "[0, 1]", to: "sweep.yaml")
      let larger = try await cluster.call("submit", "sweep.yaml")
      #expect(larger.status == 0 && larger.result != first.result, "\(larger.words)")
      let id = larger.result.trimmingCharacters(in: .whitespacesAndNewlines)
      #expect(try await cluster.ended(id) == "done")
      let all = try await cluster.number("SELECT count(*) FROM task")
      #expect(all > tasks)
      #expect(try await cluster.number("SELECT count(*) FROM task_attempt WHERE outcome = 'done'") == all)
      #expect(
        try await cluster.number(
          "SELECT count(*) FROM sweep_task a JOIN sweep_task b ON a.task = b.task AND a.sweep < b.sweep") == tasks)
      // Nothing else but what a batch that took long gave back, without having run it.
      #expect(
        try await cluster.number(
          "SELECT count(*) FROM task_attempt WHERE outcome NOT IN ('done', 'released') OR outcome IS NULL") == 0)

      for process in [worker, coordinator] {
        process.signal(SIGTERM)
        #expect(await process.end() == 0)
      }
      // An embedded run of the larger sweep leaves the same rows, to the bit.
      let embedded = try await cluster.call(
        "run", "sweep.yaml", "--threads", "2",
        environment: ["STEERSCOPE_DATABASE": "sqlite:\(cluster.folder)/embedded.db"])
      #expect(embedded.status == 0, "\(embedded.words)")
      let (made, wanted) = (
        try await ResultDump(reading: try cluster.store()),
        try await ResultDump(reading: try SQLiteStore(path: cluster.folder + "/embedded.db"))
      )
      #expect(wanted.count > 20 && wanted.differences(from: made).isEmpty, "\(wanted.differences(from: made))")
      #expect(wanted.digests == made.digests)
    }
  }

  @Test func anotherCoordinatorTakesOver() async throws {
    try await ClusterProgram.run { cluster in
      let coordinators = [try cluster.coordinator("a"), try cluster.coordinator("b")]
      // Whoever leads says so in its log.
      let clock = ContinuousClock()
      func leader() throws -> Int? {
        try ["a", "b"].firstIndex { try cluster.text("\($0).err").contains("took the lead") }
      }
      var waited = clock.now
      while try leader() == nil, waited.duration(to: .now) < .seconds(60) {
        try await Task.sleep(for: .milliseconds(50))
      }
      let first = try #require(try leader())
      let other = ["b", "a"][first]
      #expect(try !cluster.text("\(other).err").contains("took the lead"))
      coordinators[first].signal(SIGKILL)
      waited = clock.now
      while try !cluster.text("\(other).err").contains("took the lead"), waited.duration(to: .now) < .seconds(60) {
        try await Task.sleep(for: .milliseconds(50))
      }
      // Its lease was three seconds; a busy machine gets some more.
      #expect(waited.duration(to: .now) < .seconds(20))
      try cluster.writeSweep("led", layers: "[0]", to: "sweep.yaml")
      let worker = try cluster.worker()
      #expect(try await cluster.call("submit", "sweep.yaml").status == 0)
      #expect(try await cluster.ended("led") == "done")
      // One that ends in an orderly way leaves the lead at once.
      coordinators[1 - first].signal(SIGTERM)
      worker.signal(SIGTERM)
      #expect(await coordinators[1 - first].end() == 0)
      #expect(await worker.end() == 0)
      #expect(try await cluster.number("SELECT count(*) FROM leader WHERE lease_until > now()") == 0)
    }
  }

  @Test func aWorkerThatIsToldToStopGivesBackWhatItHolds() async throws {
    try await ClusterProgram.run { cluster in
      try cluster.writeSweep("drained", layers: "[0, 1]", to: "sweep.yaml")
      let coordinator = try cluster.coordinator()
      #expect(try await cluster.call("submit", "sweep.yaml").status == 0)
      // One worker after the other, each told to stop when it has begun; none is given time to finish all.
      for number in 0..<3 {
        let worker = try cluster.worker("worker-\(number)")
        for _ in 0..<200 where try !cluster.text("worker-\(number).err").contains("a task is done") {
          try await Task.sleep(for: .milliseconds(20))
        }
        worker.signal(SIGTERM)
        #expect(await worker.end() == 0)
        #expect(try await cluster.number("SELECT count(*) FROM task WHERE state = 'running'") == 0)
      }
      let worker = try cluster.worker("last")
      #expect(try await cluster.ended("drained") == "done")
      // Nothing of this counted as a failure.
      #expect(try await cluster.number("SELECT sum(failures) FROM task") == 0)
      for process in [worker, coordinator] {
        process.signal(SIGTERM)
        #expect(await process.end() == 0)
      }
    }
  }
}
