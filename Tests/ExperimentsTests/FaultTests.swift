import Diagnostics
import Experiments
import Kernels
import SweepRecords
import TensorFiles
import Testing

/// Whose fault it is when a task can't be done.
struct FaultTests {
  let sweep: TinySweep
  let outcomes: Outcomes
  let executor = ExperimentExecutor(pool: ThreadPool(threads: 1))

  init() throws { (sweep, outcomes) = try TinySweep.standard.get() }

  private func fault(
    of work: TaskWork, monitor: any TaskMonitor = Onlooker(), _ change: (inout TaskInputs) -> Void = { _ in }
  ) throws -> TaskFault? {
    var inputs = try sweep.inputs(of: work, among: outcomes)
    change(&inputs)
    do {
      _ = try executor.execute(work, inputs: inputs, monitor: monitor)
      return nil
    } catch {
      return error
    }
  }

  private func planned(_ kind: TaskKind) throws -> TaskWork {
    try sweep.work(try #require(sweep.tasks.last { $0.kind == kind }))
  }

  /// Safetensors of one vector.
  private func vector(_ name: String, _ values: [Float]) throws -> [UInt8] {
    var writer = SafetensorsWriter()
    try writer.add(name, shape: [values.count], floats: values)
    return writer.bytes()
  }

  @Test func aMissingModelIsTheMachines() throws {
    for kind in [TaskKind.harvest, .extract, .decompose, .evaluate, .sideEffects] {
      let found = try #require(try fault(of: try planned(kind)) { $0.paths = [:] }, "\(kind)")
      #expect(found.blame == .worker && found.input == sweep.paths.keys.first, "\(kind)")
    }
  }

  @Test func aMissingArtifactIsNobodys() throws {
    for kind in TaskKind.allCases where kind != .harvest {
      #expect(try fault(of: try planned(kind)) { $0.artifacts = [:] }?.blame == .transient, "\(kind)")
    }
  }

  @Test(arguments: ["", "[]", "[1]", "{\"prompt\": 1}", "[{\"prompt\":\"a\",\"positive\":\"b\",\"negative\":\"b\"}]"])
  func aBrokenContrastSetIsTheTasks(_ text: String) throws {
    for kind in [TaskKind.extract, .evaluate, .score] {
      let found = try fault(of: try planned(kind)) { inputs in
        for key in inputs.artifacts.keys { if case .artifact = key { inputs.artifacts[key] = Array(text.utf8) } }
      }
      #expect(found?.blame == .task && found?.message.isEmpty == false, "\(kind)")
    }
  }

  @Test func damagedArtifactsAreTheTasks() throws {
    for kind in TaskKind.allCases where kind != .extract {
      let work = try planned(kind)
      let outputs = work.inputs.filter { if case .output = $0 { true } else { false } }
      for reference in outputs {
        for damage in [0, 7, 40] {
          let found = try fault(of: work) {
            $0.artifacts[reference] = $0.artifacts[reference].map { Array($0.prefix(damage)) }
          }
          #expect(found?.blame == .task, "\(kind), \(reference), \(damage) bytes")
        }
      }
    }
  }

  @Test func slicesBeyondTheEndAreTheTasks() throws {
    guard case .extract(var extract) = try planned(.extract), case .evaluate(var evaluate) = try planned(.evaluate),
      case .sideEffects(var effects) = try planned(.sideEffects), case .score(var score) = try planned(.score)
    else { return }
    extract.to = 13
    evaluate.to = 9
    effects.to = 1_000_000
    score.slices[0].variantCount = 1000
    for work in [TaskWork.extract(extract), .evaluate(evaluate), .sideEffects(effects), .score(score)] {
      #expect(try fault(of: work)?.blame == .task, "\(work.kind)")
    }
  }

  @Test func layersThatTheModelHasNotAreTheTasks() throws {
    guard case .extract(var extract) = try planned(.extract), case .evaluate(var evaluate) = try planned(.evaluate),
      case .harvest(var harvest) = try planned(.harvest), case .sideEffects(var effects) = try planned(.sideEffects)
    else { return }
    extract.layers = [3]
    harvest.layers = [-1]
    evaluate.layer = 3
    effects.layer = 99
    for work in [TaskWork.extract(extract), .harvest(harvest), .evaluate(evaluate), .sideEffects(effects)] {
      #expect(try fault(of: work)?.blame == .task, "\(work.kind)")
    }
  }

  @Test func numbersThatBreakTheModelAreTheTasks() throws {
    guard case .evaluate(var work) = try planned(.evaluate) else { return }
    work.settings.coefficients = [0, 1e39]
    #expect(try fault(of: .evaluate(work))?.message.contains("not finite") == true)
    work.settings.coefficients = [0, 1]
    (work.settings.unit, work.statistics) = (.activationNorm, nil)
    #expect(try fault(of: .evaluate(work))?.blame == .task)
  }

  @Test(arguments: [Float.nan, .infinity]) func vectorsThatAreNotFiniteAreRefused(_ value: Float) throws {
    var values = [Float](repeating: 0.5, count: 48)
    values[7] = value
    let bytes = try vector("layer.1", values)
    #expect(throws: InputError.self) { try GivenVector.read(bytes, name: "given", layer: 1) }
    let given = InputReference.artifact(Digest(of: bytes))
    let work = TaskWork.vectors(VectorsWork(behaviour: "given", layers: [1], slices: [], given: given))
    var inputs = TaskInputs(artifacts: [given: bytes])
    let first = #expect(throws: TaskFault.self) {
      try executor.execute(work, inputs: inputs, monitor: Onlooker())
    }
    #expect(first?.blame == .task && first?.message.contains("given") == true)
    // Finite, it is taken; of no length, it is not.
    inputs.artifacts[given] = try vector("layer.1", [Float](repeating: 0.5, count: 48))
    #expect(try executor.execute(work, inputs: inputs, monitor: Onlooker()).rows.count == 1)
    inputs.artifacts[given] = try vector("layer.1", [Float](repeating: 0, count: 48))
    let second = #expect(throws: TaskFault.self) {
      try executor.execute(work, inputs: inputs, monitor: Onlooker())
    }
    #expect(second?.blame == .task && second?.message.contains("zero") == true)
  }

  @Test func vectorsOfAnotherModelAreRefused() throws {
    for kind in [TaskKind.evaluate, .sideEffects, .decompose] {
      let work = try planned(kind)
      let (source, tensor): (InputReference, String)
      switch work {
      case .evaluate(let work): (source, tensor) = (work.variants[0].source, work.variants[0].tensor)
      case .sideEffects(let work): (source, tensor) = (work.variants[0].source, work.variants[0].tensor)
      case .decompose(let work): (source, tensor) = (work.vectors[0].source, work.vectors[0].tensor)
      default: continue
      }
      let short = try vector(tensor, [1, 2, 3])
      #expect(try fault(of: work) { $0.artifacts[source] = short }?.blame == .task, "\(kind)")
    }
  }

  @Test func askedToStopTheyStopAndLeaveNothingBehind() throws {
    for kind in TaskKind.allCases where kind != .score {
      let task = try #require(sweep.tasks.last { $0.kind == kind })
      let work = try sweep.work(task)
      #expect(try fault(of: work, monitor: Stopper(after: 0))?.blame == .stopped, "\(kind)")
      _ = try fault(of: work, monitor: Stopper(after: 1))
      // The same executor, afterwards.
      let same = try sweep.run(work, executor, among: outcomes) == outcomes[task.key]
      #expect(same, "\(kind)")
    }
    let sampling = try #require(sweep.tasks.first { $0.kind == .harvest && $0.layer == nil })
    #expect(try fault(of: try sweep.work(sampling), monitor: Stopper(after: 0))?.blame == .stopped)
  }
}
