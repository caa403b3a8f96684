import Experiments
import Kernels
import SweepRecords
import TensorFiles
import Testing

/// However a plan cuts work, it comes out the same.
struct SliceTests {
  let sweep: TinySweep
  let outcomes: Outcomes
  let executor = ExperimentExecutor(pool: ThreadPool(threads: 1))

  init() throws { (sweep, outcomes) = try TinySweep.standard.get() }

  /// Runs a slice and keeps what it leaves under a key of its own.
  private func run(_ work: TaskWork, into outcomes: inout Outcomes) throws -> Digest {
    let key = TaskWork.key(ofCanonicalJSON: try work.canonicalJSON())
    outcomes[key] = try sweep.run(work, executor, among: outcomes)
    return key
  }

  private func planned(_ kind: TaskKind, layer: Int) throws -> (key: Digest, work: TaskWork) {
    let task = try #require(sweep.tasks.first { $0.kind == kind && $0.layer == layer })
    return (task.key, try sweep.work(task))
  }

  @Test(arguments: TinySweep.layers) func trainingFromACheckpoint(_ layer: Int) throws {
    var outcomes = outcomes
    guard case (let key, .trainSAE(let whole)) = try planned(.trainSAE, layer: layer) else { return }
    var first = whole
    first.to = 17
    var second = whole
    second.from = 17
    second.checkpoint = .output(task: try run(.trainSAE(first), into: &outcomes), name: "checkpoint")
    let last = try run(.trainSAE(second), into: &outcomes)
    #expect(last != key)
    let same = outcomes[last] == outcomes[key]
    #expect(same)
    #expect(outcomes[key]?.rows(of: .sae).first?.cells["steps"] == .integer(40))
  }

  @Test func sampledTextAndItsActivations() throws {
    let layer = 1
    var outcomes = outcomes
    let sampling = try #require(sweep.tasks.first { $0.kind == .harvest && $0.layer == nil })
    guard case .harvest(var sampled) = try sweep.work(sampling),
      case .sample(let seed, _, let to, let length, let temperature) = sampled.source,
      case (_, .harvest(var read)) = try planned(.harvest, layer: layer)
    else { throw TaskFault(.task, "no sampling") }
    #expect(to == 8)
    var slices: [InputReference] = []
    for range in [0..<3, 3..<8] {
      sampled.source = .sample(
        seed: seed, from: range.lowerBound, to: range.upperBound, length: length, temperature: temperature)
      read.source = .sampled(.output(task: try run(.harvest(sampled), into: &outcomes), name: "tokens"))
      slices.append(.output(task: try run(.harvest(read), into: &outcomes), name: "activations"))
    }
    let statistics = try run(.statistics(StatisticsWork(layers: [layer], slices: slices)), into: &outcomes)
    let (key, _) = try planned(.statistics, layer: layer)
    let same = outcomes[statistics] == outcomes[key]
    #expect(same)
    // What the model was started with is not counted.
    #expect(outcomes[key]?.rows.first?.cells["tokens"] == .integer(1024))
  }

  @Test func pairs() throws {
    let layer = 1
    var outcomes = outcomes
    guard case (_, .extract(let whole)) = try planned(.extract, layer: layer),
      case (let key, .vectors(var vectors)) = try planned(.vectors, layer: layer)
    else { throw TaskFault(.task, "no extraction") }
    #expect(whole.to == TinySweep.pairs)
    vectors.slices = try [0..<5, 5..<6, 6..<12].map { range in
      var slice = whole
      (slice.from, slice.to) = (range.lowerBound, range.upperBound)
      return .output(task: try run(.extract(slice), into: &outcomes), name: "activations")
    }
    let sliced = try run(.vectors(vectors), into: &outcomes)
    let same = outcomes[sliced] == outcomes[key]
    #expect(same)
  }

  @Test func layersTogetherAsOneByOne() throws {
    guard case (_, .harvest(var harvest)) = try planned(.harvest, layer: 1),
      case (_, .extract(var extract)) = try planned(.extract, layer: 1),
      case (_, .sideEffects(let effects)) = try planned(.sideEffects, layer: 1)
    else { throw TaskFault(.task, "no harvest") }
    // Contexts that don't divide the text.
    let text = HarvestWork.Source.text(effects.text, from: 5, to: 47, context: 10)
    let sampled = harvest.source
    for layers in [[0], [1], [2], [0, 2], [1, 2]] {
      extract.layers = layers
      harvest.layers = layers
      var works = [TaskWork.extract(extract)]
      for source in [text, sampled] {
        harvest.source = source
        works.append(.harvest(harvest))
      }
      for work in works {
        // One executor goes on from the layer before, the other begins anew.
        let fresh = ExperimentExecutor(pool: ThreadPool(threads: 1))
        let made = try sweep.run(work, executor, among: outcomes)
        let same = try made == sweep.run(work, fresh, among: outcomes)
        #expect(same, "\(work.kind), layers \(layers)")
      }
    }
    func activations(_ layers: [Int]) throws -> SafetensorsFile {
      (harvest.layers, harvest.source) = (layers, text)
      let bytes = try #require(try sweep.run(.harvest(harvest), executor, among: outcomes).artifacts["activations"])
      return try SafetensorsFile(bytes: bytes, name: "activations")
    }
    let (both, one) = (try activations([0, 2]), try activations([2]).tensor(named: "layer.2"))
    #expect(try both.tensor(named: "layer.2").floats() == one.floats())
    // Each context's first position is left out.
    #expect(one.shape == [37, 48])
  }

  @Test func neutralText() throws {
    var outcomes = outcomes
    let score = try #require(
      try sweep.tasks(of: .score) { if case .score(let work) = $0 { work.layer == 1 } else { false } }.last)
    guard case .score(var reduce) = try sweep.work(score), let whole = reduce.sideEffects.first else { return }
    let task = try #require(
      sweep.tasks.first { InputReference.output(task: $0.key, name: "side-effects") == whole.source })
    guard case .sideEffects(var work) = try sweep.work(task) else { return }
    // Contexts of 20 tokens, cut at their boundaries.
    func rows(_ ranges: [Range<Int>]) throws -> [TableRow] {
      reduce.sideEffects = try ranges.map { range in
        (work.from, work.to, work.context) = (range.lowerBound, range.upperBound, 20)
        let key = try run(.sideEffects(work), into: &outcomes)
        return .init(
          source: .output(task: key, name: "side-effects"), from: range.lowerBound, to: range.upperBound,
          firstVariant: 0, variantCount: work.variants.count)
      }
      return try sweep.run(.score(reduce), executor, among: outcomes).rows
    }
    let (one, three) = (try rows([0..<48]), try rows([0..<20, 20..<40, 40..<48]))
    #expect(one.count == three.count && one != outcomes[score.key]?.rows)
    for (a, b) in zip(one, three) {
      guard case .real(let x) = a.cells["cross_entropy_change"], case .real(let y) = b.cells["cross_entropy_change"]
      else { continue }
      // Sums over other slices are other sums of doubles.
      #expect(abs(x - y) < 1e-12)
    }
  }
}
