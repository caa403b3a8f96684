/// Shares a window's room among sweeps: each place goes to the one with the fewest tasks in flight, the older one where
/// equal.
struct WindowShare {
  /// Tasks queued or running, by sweep.
  private var inFlight: [Int: Int]
  /// Two sweeps may want the same task: once is enough.
  private var taken: Set<Int> = []

  init(inFlight: [Int: Int]) { self.inFlight = inFlight }

  /// Fills up to `room` places from what waits, by sweep, the oldest sweep first.
  mutating func fill(
    _ room: Int, from waiting: [(sweep: Int, tasks: [Int])]
  ) -> [(task: Int, sweep: Int)] {
    var left = waiting.map { $0.tasks[...] }
    var chosen: [(task: Int, sweep: Int)] = []
    while chosen.count < room {
      let open = waiting.indices.filter { !left[$0].isEmpty }
      guard
        let next = open.min(by: {
          inFlight[waiting[$0].sweep, default: 0] < inFlight[waiting[$1].sweep, default: 0]
        })
      else { break }
      let task = left[next].removeFirst()
      guard taken.insert(task).inserted else { continue }
      chosen.append((task, waiting[next].sweep))
      inFlight[waiting[next].sweep, default: 0] += 1
    }
    return chosen
  }
}
