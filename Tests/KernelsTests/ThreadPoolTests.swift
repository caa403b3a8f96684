import Synchronization
import Testing

@testable import Kernels

/// Shared by tasks, which a local atomic can't be.
private final class Sum: Sendable {
  let value = Atomic<Int>(0)
}

@Test(arguments: [1, 2, 5])
func everyIndexRunsOnce(threads: Int) {
  let pool = ThreadPool(threads: threads)
  for count in [0, 1, 2, 3, 17, 1000] {
    let seen = Mutex([Int](repeating: 0, count: count))
    pool.forEach(count) { index in seen.withLock { $0[index] += 1 } }
    #expect(seen.withLock { $0 } == [Int](repeating: 1, count: count))
  }
}

@Test(arguments: [1, 2, 5])
func mappedValuesAreInOrder(threads: Int) {
  let pool = ThreadPool(threads: threads)
  for count in [0, 1, 2, 17, 1000] { #expect(pool.map(count) { "\($0)" } == (0..<count).map { "\($0)" }) }
  #expect(pool.map(5) { outer in pool.map(3) { $0 + outer } }.last == [4, 5, 6])
}

@Test func whatAHeldUpThreadHasNotComeToIsDoneByAnother() {
  let pool = ThreadPool(threads: 2)
  for heldUp in [0, 4, 7] {
    let others = Atomic<Int>(0)
    pool.forEach(8) { index in
      guard index == heldUp else {
        others.add(1, ordering: .releasing)
        return
      }
      while others.load(ordering: .acquiring) < 7 {}
    }
    #expect(others.load(ordering: .relaxed) == 7)
  }
}

@Test func nestedCallsRunInline() {
  let pool = ThreadPool(threads: 3)
  let sum = Atomic<Int>(0)
  for _ in 0..<50 {
    pool.forEach(8) { outer in pool.forEach(8) { inner in sum.add(outer * 8 + inner, ordering: .relaxed) } }
  }
  #expect(sum.load(ordering: .relaxed) == 50 * 63 * 64 / 2)
}

@Test func concurrentCallersNeitherWaitForeverNorLoseWork() async {
  let pool = ThreadPool(threads: 3)
  let sum = Sum()
  await withTaskGroup(of: Void.self) { group in
    for _ in 0..<8 {
      group.addTask {
        for _ in 0..<100 { pool.forEach(10) { index in sum.value.add(index, ordering: .relaxed) } }
      }
    }
  }
  #expect(sum.value.load(ordering: .relaxed) == 8 * 100 * 45)
}

@Test func poolsComeAndGo() {
  for threads in 1...6 {
    let pool = ThreadPool(threads: threads)
    let sum = Atomic<Int>(0)
    pool.forEach(100) { sum.add($0, ordering: .relaxed) }
    #expect(sum.load(ordering: .relaxed) == 4950)
  }
}
