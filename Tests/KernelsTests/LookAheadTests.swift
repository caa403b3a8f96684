import Testing

@testable import Kernels

/// What tiles ask for, and what is asked for at the end, is everything, once.
@Test func sharesOfWhatLiesAheadAreWholeAndEqual() {
  for (runBytes, stride, runs) in [(640, 1024, 3), (64, 64, 1), (12288, 147_456, 3), (768, 9216, 48), (100, 128, 2)] {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: stride * runs, alignment: 64)
    defer { memory.deallocate() }
    for tiles in [1, 2, 3, 4, 5, 8, 100] {
      var ahead = LookAhead(UnsafeRawPointer(memory), runBytes: runBytes, every: stride, runs: runs)
      ahead.spread(over: tiles)
      var asked = [Int](repeating: 0, count: stride * runs)
      var sizes: [Int] = []
      func add(_ from: UnsafeRawPointer, _ count: Int) {
        for offset in 0..<count where from + offset < UnsafeRawPointer(memory) + stride * runs {
          asked[from + offset - UnsafeRawPointer(memory)] += 1
        }
      }
      for _ in 0..<1000 {
        let share = ahead.take()
        if share.bytes > 0 { sizes.append(share.bytes) }
        add(share.from, share.first)
        add(share.then, share.bytes - share.first)
      }
      for run in 0..<runs {
        #expect(asked[run * stride..<run * stride + runBytes].allSatisfy { $0 == 1 }, "\(runBytes) \(tiles) \(run)")
      }
      #expect(sizes.dropLast().allSatisfy { $0 == sizes[0] } && sizes[0] <= runBytes)
      if tiles >= runs { #expect(sizes.count <= tiles) }
    }
  }
}

@Test func nothingLiesAhead() {
  let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
  defer { memory.deallocate() }
  for (runBytes, runs) in [(0, 3), (64, 0), (64, -1)] {
    var ahead = LookAhead(UnsafeRawPointer(memory), runBytes: runBytes, every: 64, runs: runs)
    ahead.spread(over: 4)
    #expect(ahead.take().bytes == 0)
    ahead.finish()
  }
}
