import Testing

@testable import Kernels

/// A full sort by the rule: value falling, NaN last, index rising.
private func reference(_ values: [Float], _ k: Int, magnitude: Bool = false) -> [Int] {
  let keys = magnitude ? values.map(\.magnitude) : values
  let sorted = keys.indices.sorted { a, b in
    if keys[a].isNaN || keys[b].isNaN { return keys[a].isNaN == keys[b].isNaN ? a < b : keys[b].isNaN }
    return keys[a] == keys[b] ? a < b : keys[a] > keys[b]
  }
  return Array(sorted.prefix(max(0, k)))
}

@Test func theLargestAreThoseOfAFullSort() {
  for count in [0, 1, 2, 15, 16, 17, 100, 1000] {
    var values = numbers(count, seed: UInt64(count))
    for round in 0..<4 {
      // Ties, then NaN and infinities, then rising order.
      if round == 1 { values = values.map { ($0 * 4).rounded() } }
      if round == 2 {
        for i in stride(from: 0, to: count, by: 7) {
          values[i] = i % 3 == 0 ? .nan : i % 2 == 0 ? .infinity : -.infinity
        }
      }
      if round == 3 { values = (0..<count).map { Float($0) } }
      for k in [0, 1, 2, 5, 33, 100, 5000] {
        #expect(topK(values, k) == reference(values, k), "\(count) \(round) \(k)")
        #expect(topKByMagnitude(values, k) == reference(values, k, magnitude: true), "\(count) \(round) \(k)")
      }
      #expect(argmax(values) == reference(values, 1).first)
    }
  }
}

/// Far more values than are kept: in random, rising and falling order, with ties, mostly zeros of both signs, mostly NaN
/// or minus infinity.
@Test(arguments: [(256, 8), (3217, 100), (3217, 8), (5000, 11), (10_000, 100)])
func fewOfManyAreThoseOfAFullSort(_ count: Int, _ k: Int) {
  let random = numbers(count, seed: UInt64(count))
  let rare = random.indices.map { $0 % 61 == 0 }
  let cases: [[Float]] = [
    random, random.sorted(), random.sorted(by: >), random.map { ($0 * 4).rounded() }, random.map { min($0, 0) },
    random.indices.map { rare[$0] ? random[$0] : $0 % 2 == 0 ? 0 : -0.0 },
    random.indices.map { rare[$0] ? random[$0] : .nan },
    random.indices.map { rare[$0] ? random[$0] : -.infinity }, random.map { $0 > 0.9 ? .infinity : -abs($0) },
    random.map { _ in .leastNonzeroMagnitude }, random.map { _ in -0.0 }, random.map { _ in .nan },
  ]
  for (place, values) in cases.enumerated() {
    #expect(topK(values, k) == reference(values, k), "case \(place)")
    #expect(topKByMagnitude(values, k) == reference(values, k, magnitude: true), "case \(place)")
  }
}

@Test func bothZerosAreEqualAndNaNComesLast() {
  #expect(topK([-0.0, 0, -1, .nan, 0], 5) == [0, 1, 4, 2, 3])
  #expect(topK([.nan, .nan, -.infinity], 2) == [2, 0])
  #expect(topKByMagnitude([-3, 2, .nan, 3], 3) == [0, 3, 1])
}

@Test func rowsAreSelectedLikeVectors() {
  let m = matrix(30, 500, seed: 11)
  for pool in pools { #expect(topKRows(m, 9, pool: pool) == (0..<30).map { topK(m.row($0), 9) }) }
}

@Test func risingOrderIsAStableSort() {
  var values = numbers(3000, seed: 21).map { ($0 * 50).rounded() * ($0 < 0.5 ? 1e-30 : 1e20) }
  values += [0, -0.0, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, -.leastNonzeroMagnitude]
  let expected = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
  #expect(risingOrder(values).map(Int.init) == expected)
  #expect(risingOrder([1, .nan, -.infinity]) == [1, 2, 0])
  #expect(risingOrder([]).isEmpty)
}
