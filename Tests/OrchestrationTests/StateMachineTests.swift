import SweepRecords
import Testing

@testable import Orchestration
@testable import Storage

private func lease(_ task: Int64, _ token: Int64) -> TaskLease {
  TaskLease(task: TaskID(task), token: LeaseToken(token))
}

private func reply(_ held: [TaskLease], cancelled: [TaskLease] = []) -> HeartbeatReply {
  HeartbeatReply(held: held, cancelled: cancelled, paused: [])
}

@Suite struct LeaseTableTests {
  @Test func keepsWhatIsRenewed() {
    var table = LeaseTable()
    table.claimBegan()
    table.claimEnded([lease(1, 10), lease(2, 11)])
    #expect(table.heard(reply([lease(1, 10), lease(2, 11)]), to: table.ask()) == .init())
    #expect(table.leases == [lease(1, 10), lease(2, 11)])
  }

  @Test func losesWhatIsMissing() {
    var table = LeaseTable()
    table.claimBegan()
    table.claimEnded([lease(1, 10), lease(2, 11), lease(3, 12)])
    let answer = table.heard(reply([lease(2, 11)], cancelled: [lease(3, 12)]), to: table.ask())
    #expect(answer == .init(lost: [lease(1, 10)], cancelled: [lease(3, 12)], orphans: []))
    #expect(table.leases == [lease(2, 11)])
    #expect(table.heard(reply([lease(2, 11)]), to: table.ask()) == .init())
  }

  @Test func aNewTokenOfTheSameTaskIsAnotherLease() {
    var table = LeaseTable()
    table.claimBegan()
    table.claimEnded([lease(1, 10)])
    #expect(table.heard(reply([lease(1, 99)]), to: table.ask()).lost == [lease(1, 10)])
  }

  @Test func aClaimDuringTheHeartbeatIsNotLost() {
    var table = LeaseTable()
    let question = table.ask()
    table.claimBegan()
    table.claimEnded([lease(1, 10)])
    #expect(table.heard(reply([]), to: question) == .init())
    #expect(table.holds(lease(1, 10)))
  }

  @Test func unknownLeasesAreOrphansUnlessAClaimMayExplainThem() {
    var table = LeaseTable()
    table.claimBegan()
    // The claim's reply is lost: it ends with nothing, though the store has given a lease.
    let during = table.ask()
    #expect(table.heard(reply([lease(1, 10)]), to: during) == .init())
    let before = table.ask()
    table.claimEnded([])
    #expect(table.heard(reply([lease(1, 10)]), to: before) == .init())
    let after = table.ask()
    table.claimBegan()
    #expect(table.heard(reply([lease(1, 10)]), to: after) == .init())
    table.claimEnded([])
    #expect(table.heard(reply([lease(1, 10)]), to: table.ask()).orphans == [lease(1, 10)])
  }

  @Test func whatIsBeingEndedIsNotLost() {
    var table = LeaseTable()
    table.claimBegan()
    table.claimEnded([lease(1, 10), lease(2, 11)])
    let question = table.ask()
    table.endBegan([lease(1, 10)])
    // The store ended the task before it answered the heartbeat.
    #expect(table.heard(reply([lease(2, 11)]), to: question) == .init())
    table.settled(lease(1, 10))
    #expect(table.leases == [lease(2, 11)])
    #expect(table.heard(reply([lease(1, 10), lease(2, 11)]), to: question).orphans.isEmpty)
  }
}

@Suite struct BatchSizeTests {
  @Test func isOneUntilSomethingIsKnown() { #expect(BatchSize().size == 1) }

  @Test func growsStepByStepWithShortTasks() {
    var batch = BatchSize(target: 0.5, limit: 64)
    var sizes: [Int] = []
    for _ in 0..<10 {
      batch.took(0.001, .score)
      sizes.append(batch.size)
    }
    #expect(sizes == [2, 4, 8, 16, 32, 64, 64, 64, 64, 64])
  }

  @Test func shrinksAtOnceWithALongTask() {
    var batch = BatchSize(target: 0.5, limit: 64)
    for _ in 0..<10 { batch.took(0.001, .score) }
    batch.took(20, .score)
    #expect(batch.size == 1)
    for _ in 0..<5 { batch.took(0.001, .score) }
    #expect(batch.size == 1)
    for _ in 0..<60 { batch.took(0.001, .score) }
    #expect(batch.size == 64)
  }

  @Test func longKindsAreLeftToOthers() {
    var batch = BatchSize(target: 0.5, limit: 64)
    for _ in 0..<10 { batch.took(0.01, .score) }
    // Of kinds that are not known yet two are tried; of known short ones as many as take twice the target.
    #expect(batch.fitting([.evaluate, .evaluate, .evaluate]) == 2)
    #expect(batch.fitting(Array(repeating: .score, count: 64)) == 64)
    #expect(batch.fitting(Array(repeating: .score, count: 10) + [.evaluate, .evaluate]) == 11)
    batch.took(20, .trainSAE)
    #expect(batch.fitting(Array(repeating: .score, count: 10) + [.trainSAE]) == 10)
    #expect(batch.fitting([.trainSAE, .trainSAE]) == 1)
    #expect(batch.fitting([]) == 0)
  }

  @Test func neverExceedsItsLimit() {
    var batch = BatchSize(target: 1e9, limit: 5)
    for _ in 0..<100 { batch.took(0, .score) }
    #expect(batch.size == 4)
  }
}

@Suite struct WorkerReadinessTests {
  private let input = Digest(of: "model")
  private var fault: TaskFault { TaskFault(.worker, "model.gguf is missing", input: input) }

  @Test func avoidsWhatNeedsTheInputForAWhile() {
    var readiness = WorkerReadiness(isAlone: true)
    #expect(readiness.condition == .ready)
    readiness.failed(fault, task: TaskID(1), now: .zero, jitter: 1)
    #expect(readiness.condition == .unready(reason: "model.gguf is missing"))
    #expect(readiness.objection(to: [.file(input)], now: .seconds(59)) == fault)
    #expect(readiness.objection(to: [.artifact(input), .file(Digest(of: "other"))], now: .zero) == nil)
    #expect(readiness.avoids(TaskID(1), now: .seconds(59)))
    #expect(!readiness.avoids(TaskID(2), now: .zero))
    #expect(readiness.avoidedCount(now: .seconds(1)) == 1)
    #expect(readiness.pause(now: .zero) == .zero)
    #expect(!readiness.avoids(TaskID(1), now: .seconds(60)))
    #expect(readiness.objection(to: [.file(input)], now: .seconds(60)) == nil)
    // It tried again in vain: longer this time.
    readiness.failed(fault, task: TaskID(1), now: .seconds(60), jitter: 1)
    #expect(readiness.avoids(TaskID(1), now: .seconds(179)))
    readiness.succeeded(with: [.file(input)])
    #expect(readiness.condition == .ready)
  }

  @Test func amongOthersItRestsEverLonger() {
    var readiness = WorkerReadiness(isAlone: false)
    readiness.failed(fault, task: TaskID(1), now: .zero, jitter: 1)
    #expect(readiness.pause(now: .zero) == .seconds(1))
    readiness.failed(fault, task: TaskID(2), now: .seconds(1), jitter: 1)
    #expect(readiness.pause(now: .seconds(1)) == .seconds(2))
    // Others may have it at once: its messages are not swallowed.
    #expect(!readiness.avoids(TaskID(1), now: .seconds(1)) && readiness.avoidedCount(now: .seconds(1)) == 0)
    readiness.succeeded(with: [])
    #expect(readiness.condition == .unready(reason: "model.gguf is missing"))
    readiness.failed(fault, task: TaskID(2), now: .seconds(9), jitter: 1)
    #expect(readiness.pause(now: .seconds(9)) == .seconds(1))
  }

  @Test func leavesEverythingAloneWithoutAnInput() {
    var readiness = WorkerReadiness(isAlone: true)
    readiness.failed(TaskFault(.worker, "the disk is full"), task: TaskID(1), now: .zero, jitter: 1)
    #expect(readiness.pause(now: .seconds(1)) == .seconds(4))
    #expect(readiness.failuresInARow == 1)
    #expect(readiness.condition == .unready(reason: "the disk is full"))
    readiness.failed(TaskFault(.worker, "the disk is full"), task: TaskID(1), now: .seconds(5), jitter: 1)
    #expect(readiness.pause(now: .seconds(5)) == .seconds(10))
    readiness.succeeded(with: [])
    #expect(readiness.pause(now: .seconds(5)) == .zero && readiness.condition == .ready)
  }

  @Test func remembersNoMoreThanItMay() {
    var readiness = WorkerReadiness(isAlone: true, limit: 3)
    for task in 1...10 { readiness.failed(fault, task: TaskID(Int64(task)), now: .zero, jitter: 1) }
    #expect(readiness.avoidedCount(now: .zero) == 3)
  }
}

@Suite struct CoordinatorScheduleTests {
  private func schedule() -> CoordinatorSchedule {
    CoordinatorSchedule(
      intervals: [
        .lead: .seconds(5), .reap: .seconds(15), .census: .seconds(5), .expand: .seconds(1), .dispatch: .seconds(1),
        .settle: .seconds(2), .recount: .seconds(600),
      ], candidacy: .seconds(3))
  }

  @Test func followersOnlyTryToLead() {
    var schedule = schedule()
    #expect(schedule.duties(at: .zero) == [.lead])
    schedule.did(.lead, at: .zero)
    #expect(schedule.duties(at: .seconds(2)).isEmpty)
    #expect(schedule.next == .seconds(3))
    schedule.hurry(.dispatch, at: .zero)
    #expect(schedule.duties(at: .seconds(2)).isEmpty)
  }

  @Test func leadersDoEverythingInOrder() {
    var schedule = schedule()
    schedule.tookLead(at: .zero)
    schedule.did(.lead, at: .zero)
    #expect(schedule.duties(at: .zero) == [.reap, .census, .expand, .dispatch, .settle])
    for duty in schedule.duties(at: .zero) { schedule.did(duty, at: .zero) }
    #expect(schedule.duties(at: .seconds(1)) == [.expand, .dispatch])
    schedule.did(.expand, at: .seconds(1), again: true)
    schedule.postpone(.dispatch, until: .seconds(9))
    #expect(schedule.duties(at: .seconds(1)) == [.expand])
    schedule.hurry(.dispatch, at: .seconds(1))
    #expect(schedule.duties(at: .seconds(1)) == [.expand, .dispatch])
    #expect(schedule.duties(at: .seconds(600)).last == .recount)
  }

  @Test func whoLostTheLeadDoesNothingElse() {
    var schedule = schedule()
    schedule.tookLead(at: .zero)
    schedule.lostLead(at: .seconds(3))
    schedule.did(.dispatch, at: .seconds(3))
    #expect(schedule.duties(at: .seconds(5)).isEmpty)
    #expect(schedule.duties(at: .seconds(6)) == [.lead])
  }
}

@Suite struct SmallPolicyTests {
  @Test func windowFollowsWorkersAndRate() {
    var window = DispatchWindow(perWorker: 4, limit: 100, seconds: 4)
    #expect(window.size == 4)
    window.workers = 5
    #expect(window.size == 20)
    window.dispatched(10, at: .milliseconds(500))
    #expect(window.size == 20)
    window.dispatched(10, at: .seconds(1))
    #expect(window.size == 80)
    window.dispatched(1000, at: .seconds(2))
    #expect(window.size == 100)
    window.dispatched(0, at: .seconds(12))
    #expect(window.size == 20)
  }

  @Test func cacheKeepsWhatWasUsedLast() {
    var cache = ArtifactCache(capacity: 10)
    let names = (0..<4).map { Digest(of: "\($0)") }
    cache.keep([1, 2, 3, 4], as: names[0])
    cache.keep([5, 6, 7, 8], as: names[1])
    let first = cache.bytes(of: names[0])
    #expect(first == [1, 2, 3, 4])
    cache.keep([9, 9, 9, 9], as: names[2])
    let kept = names.map { cache.bytes(of: $0)?.first }
    #expect(kept == [1, nil, 9, nil])
    #expect(cache.size == 8)
    cache.keep(Array(repeating: 0, count: 11), as: names[3])
    let large = cache.bytes(of: names[3])
    #expect(large == nil && cache.size == 8)
    cache.keep([1, 2, 3, 4], as: names[0])
    #expect(cache.size == 8)
  }

  @Test func timeLeftComesFromWhatTasksTook() {
    let stages: [SweepProgress.Stage] = [
      .init(kind: .harvest, counts: [.done: 4, .ready: 6], estimateLeft: 600, secondsSpent: 8, finishedAttempts: 4),
      .init(kind: .score, counts: [.blocked: 3], estimateLeft: 30, secondsSpent: 0, finishedAttempts: 0),
      .init(kind: .vectors, counts: [.parked: 3], estimateLeft: 30, secondsSpent: 0, finishedAttempts: 0),
    ]
    let progress = SweepProgress(stages: stages, finishedRecently: 0)
    #expect(progress.secondsLeft(workers: 1, threads: 2) == 27)
    #expect(progress.secondsLeft(workers: 3, threads: 2) == 9)
    #expect(SweepProgress(stages: [], finishedRecently: 0).secondsLeft(workers: 1, threads: 1) == nil)
  }
}
