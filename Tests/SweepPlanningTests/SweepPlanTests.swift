import SweepPlanning
import SweepRecords
import Testing

extension SweepPlan {
  /// Every task, unit by unit.
  func allTasks() throws -> [TaskDefinition] { try (0..<unitCount).flatMap { try tasks(inUnit: $0) } }
}

/// A sweep as if resolved, of SmolLM2's shape: two behaviours, an SAE on disk and a trained one at each layer.
func resolvedSweep(_ change: (inout ResolvedSweep) -> Void = { _ in }) throws -> ResolvedSweep {
  let folder = try FixtureFolder.example()
  var sweep = try folder.resolve(
    """
    name: made-up
    model: {path: models/smollm2.gguf, prompt: chatml}
    activations: {sample: 20000}
    behaviours:
      - {name: power, extract: data/power/extract.json, evaluate: data/power/evaluate.json}
      - {name: mine, vector: vectors/mine.safetensors, evaluate: data/mine.json}
      - {name: only-vectors, extract: data/mine.json}
    layers: [12, 15]
    saes:
      - {path: "gemma-scope/layer_{layer}/width_{width}/average_l0_{l0}/params.npz", widths: 16k}
      - {train: {widths: 2048, steps: 1500}}
    decompose: {methods: [encode, pair-difference, gradient-pursuit-signed], sparsity: [8, all]}
    steer: {coefficients: "-2:2:1", controls: [zero-vector, {random: 2}, shuffled, untrained-dictionary, pair-difference-error]}
    side_effects: {text: data/neutral.txt}
    seed: 7
    """
  ).sweep
  change(&sweep)
  return sweep
}

/// The keys of a plan's tasks, by kind or all.
private func keys(_ sweep: ResolvedSweep, where included: (TaskWork) -> Bool = { _ in true }) throws -> Set<Digest> {
  Set(
    try SweepPlan(sweep).allTasks().filter { try included(TaskWork(canonicalJSON: $0.work)) }.map(\.key))
}

@Suite struct SweepPlanTests {
  let sweep: ResolvedSweep
  let tasks: [TaskDefinition]

  init() throws {
    sweep = try resolvedSweep()
    tasks = try SweepPlan(sweep).allTasks()
  }

  @Test func dependenciesComeFirstAndKeysAreUnique() throws {
    let plan = SweepPlan(sweep)
    var earlier: Set<Digest> = []
    for unit in 0..<plan.unitCount {
      for task in try plan.tasks(inUnit: unit) {
        #expect(Set(task.dependencies).isSubset(of: earlier), "\(task.title)")
        #expect(Set(task.dependencies).count == task.dependencies.count)
        #expect(earlier.insert(task.key).inserted, "\(task.title)")
      }
    }
    #expect(Set(tasks.map(\.kind)) == Set(TaskKind.allCases))
  }

  @Test func aTaskDependsOnExactlyWhoseOutputsItReads() throws {
    for task in tasks {
      let work = try TaskWork(canonicalJSON: task.work)
      let read = work.inputs.compactMap { if case .output(let key, _) = $0 { key } else { nil } }
      #expect(Set(read) == Set(task.dependencies), "\(task.title)")
      let files = work.inputs.compactMap { if case .file(let digest) = $0 { digest } else { nil } }
      #expect(Set(files).isSubset(of: Set(task.files.map(\.digest))), "\(task.title)")
      #expect(try work.canonicalJSON() == task.work)
      #expect(TaskWork.key(ofCanonicalJSON: task.work) == task.key)
      #expect(work.kind == task.kind)
    }
  }

  @Test func artifactsReadAreAmongTheSubmittedInputs() throws {
    let folder = try FixtureFolder.example()
    var resolution = try folder.resolve(exampleSweep)
    resolution.sweep.settings.coefficients = [0, 1]
    for task in try SweepPlan(resolution.sweep).allTasks() {
      for case .artifact(let digest) in try TaskWork(canonicalJSON: task.work).inputs {
        #expect(resolution.inputs[digest] != nil, "\(task.title)")
      }
    }
  }

  @Test(arguments: [1, 7, 100, 10_000])
  func chunksOfAnySizeGiveTheSameTasks(limit: Int) throws {
    let plan = SweepPlan(sweep)
    var chunked: [Digest] = []
    var cursor: Int? = 0
    while let start = cursor {
      let (tasks, next) = try plan.chunk(from: start, limit: limit)
      chunked += tasks.map(\.key)
      #expect(next.map { $0 > start } ?? true)
      cursor = next
    }
    #expect(chunked == tasks.map(\.key))
  }

  @Test func theSameSweepGivesTheSameTasksAfterStorage() throws {
    let stored = try ResolvedSweep(canonicalJSON: sweep.canonicalJSON())
    #expect(try SweepPlan(stored).allTasks().map(\.key) == tasks.map(\.key))
    let moved = try resolvedSweep { $0.model.locator = "/elsewhere" }
    #expect(try SweepPlan(moved).allTasks().map(\.key) == tasks.map(\.key))
  }

  @Test func everyQuestionVariantAndCoefficientIsEvaluatedOnce() throws {
    var evaluated: [String: Int] = [:]
    var scored: Set<String> = []
    for task in tasks {
      switch try TaskWork(canonicalJSON: task.work) {
      case .evaluate(let work):
        for variant in work.variants { evaluated["\(work.behaviour) \(variant)", default: 0] += work.to - work.from }
      case .score(let work):
        for variant in work.variants {
          #expect(scored.insert("\(work.behaviour) \(variant)").inserted)
          let index = try #require(work.variants.firstIndex(of: variant))
          let covered = work.slices.filter { ($0.firstVariant..<$0.firstVariant + $0.variantCount).contains(index) }
          #expect(covered.reduce(0) { $0 + $1.to - $1.from } == (work.behaviour == "power" ? 30 : 20))
          let tokens = work.sideEffects.filter { ($0.firstVariant..<$0.firstVariant + $0.variantCount).contains(index) }
          #expect(tokens.reduce(0) { $0 + $1.to - $1.from } == 1500)
        }
      default: break
      }
    }
    #expect(Set(evaluated.values) == [30, 20])
    // Zero vectors are the SAE's, shared by behaviours.
    let power = evaluated.keys.filter { $0.hasPrefix("power ") }
    // A layer: original, 3 controls; a SAE: 2 zero, 2 error, and for 2 norms x 2 sparsities encode and its untrained,
    // pair-difference, and (k = 8 alone) the pursuit and its untrained.
    let perSAE = 2 + 2 + 4 + 4 + 4 + 2 + 2
    #expect(power.count == 2 * (4 + 3 * perSAE))
  }

  @Test func theTensorsThatAreSteeredWithAreThoseThatAreMade() throws {
    for task in tasks {
      guard case .evaluate(let work) = try TaskWork(canonicalJSON: task.work) else { continue }
      for variant in work.variants {
        guard case .output(let key, let name) = variant.source else { continue }
        let maker = try #require(tasks.first { $0.key == key })
        switch try TaskWork(canonicalJSON: maker.work) {
        case .vectors(let made):
          #expect(name == (made.controls == nil ? "vectors" : "controls"))
          #expect(variant.tensor.hasSuffix(".\(work.layer)") && made.layers == [work.layer])
        case .decompose(let made):
          #expect(name == "reconstructions")
          #expect(made.sae.layer == work.layer)
          if variant.variant == "zero-vector" { #expect(made.vectors.isEmpty) }
          if let method = variant.method {
            #expect(made.methods == [method])
            #expect(made.sae.name == variant.sae)
            #expect(
              DecompositionNaming.sparsities(of: method, in: made.sparsities).contains(try #require(variant.sparsity)))
          }
        default: Issue.record("\(maker.title) makes no vectors")
        }
      }
    }
  }

  @Test func aGivenVectorHasNoPairsAndNoneOfWhatTheyMake() throws {
    let mine = tasks.filter { $0.title.contains("mine") }
    #expect(!mine.contains { $0.kind == .extract })
    #expect(!mine.contains { $0.work.contains("pair-difference") })
    #expect(!mine.contains { $0.work.contains("shuffled-0") })
    #expect(mine.contains { $0.kind == .score })
  }

  @Test func withoutQuestionsThereAreOnlyVectorsAndDecompositions() throws {
    let kinds = Set(tasks.filter { $0.title.contains("only-vectors") }.map(\.kind))
    #expect(kinds == [.extract, .vectors, .decompose])
  }

  @Test func withoutSAEsOnlyOriginalAndControlsAreEvaluated() throws {
    let tasks = try SweepPlan(resolvedSweep { $0.saes = [] }).allTasks()
    #expect(Set(tasks.map(\.kind)) == [.harvest, .statistics, .extract, .vectors, .evaluate, .sideEffects, .score])
  }

  @Test func trainingIsAChainOfCheckpoints() throws {
    let long = try resolvedSweep { sweep in
      sweep.saes = sweep.saes.filter { if case .train = $0.source { $0.layer == 12 } else { false } }
      sweep.saes[0].source = .train(
        TrainingPlan(
          architecture: .topK, width: 32_768, sparsity: 32, steps: 1500, batch: 1024, learningRate: 0.001, seed: 1))
    }
    let training = try SweepPlan(long).allTasks().filter { $0.kind == .trainSAE }
    #expect(training.count > 2)
    var checkpoint: InputReference?
    var step = 0
    for task in training {
      guard case .trainSAE(let work) = try TaskWork(canonicalJSON: task.work) else { continue }
      #expect(work.checkpoint == checkpoint)
      #expect(work.from == step)
      step = work.to
      checkpoint = .output(task: task.key, name: "checkpoint")
      #expect(task.estimate <= 60)
    }
    #expect(step == 1500)
  }

  @Test func tasksTakeSecondsNotHours() throws {
    #expect(tasks.allSatisfy { $0.estimate < 60 })
    let evaluations = tasks.filter {
      $0.kind == .evaluate && $0.title.contains("power") && $0.title.contains("through")
    }
    let middle = evaluations.map(\.estimate).sorted()[evaluations.count / 2]
    #expect(middle > 10, "\(middle)")
  }
}

/// What is added to a sweep runs; what was there keeps its keys.
@Suite struct SweepPlanStabilityTests {
  let before: Set<Digest>

  init() throws { before = try keys(resolvedSweep()) }

  @Test func anAddedLayerRunsOnlyWhatIsNew() throws {
    let after = try keys(resolvedSweep { $0.layers = [12, 15, 18] })
    #expect(after.isSuperset(of: before))
    let new = try keys(resolvedSweep { $0.layers = [12, 15, 18] }) { work in
      switch work {
      case .harvest(let work): work.layers.isEmpty
      default: false
      }
    }
    // The text is not sampled again.
    #expect(new.isSubset(of: before) && !new.isEmpty)
  }

  @Test func aLayerTakenAwayChangesNothingElse() throws {
    #expect(
      try keys(
        resolvedSweep {
          $0.layers = [15]; $0.saes.removeAll { $0.layer == 12 }
        }
      ).isSubset(of: before))
  }

  @Test func anAddedMethodRunsOnlyWhatIsNew() throws {
    let added = try resolvedSweep { $0.methods.insert("matching-pursuit", at: 1) }
    #expect(try keys(added).isSuperset(of: before))
    let new = try SweepPlan(added).allTasks().filter { !before.contains($0.key) }
    #expect(new.allSatisfy { $0.title.contains("matching-pursuit") })
    #expect(new.contains { $0.kind == .score } && new.contains { $0.kind == .evaluate })
    #expect(try keys(resolvedSweep { $0.methods.reverse() }) == before)
  }

  @Test func anAddedBehaviourChangesNoOther() throws {
    let after = try keys(
      resolvedSweep { sweep in
        var other = sweep.behaviours[0]
        other.name = "other"
        sweep.behaviours.insert(other, at: 0)
      })
    #expect(after.isSuperset(of: before) && after.count > before.count)
  }

  @Test func anAddedSAEChangesNoOther() throws {
    let after = try keys(
      resolvedSweep { sweep in
        var other = sweep.saes[0]
        other.source = .file(FileReference(digest: Digest(of: "another"), locator: "x"))
        other.name = "another"
        sweep.saes.insert(other, at: 0)
      })
    #expect(after.isSuperset(of: before) && after.count > before.count)
  }

  @Test func anAddedControlChangesOnlyControls() throws {
    let added = try resolvedSweep { $0.controls.random = 5 }
    let new = try SweepPlan(added).allTasks().filter { !before.contains($0.key) }
    #expect(new.allSatisfy { $0.title.contains("controls") } && !new.isEmpty)
    #expect(try keys(resolvedSweep { $0.controls.untrainedDictionary = false }).isStrictSubset(of: before))
    #expect(try keys(resolvedSweep { $0.controls.zeroVector = false }).isStrictSubset(of: before))
    #expect(try keys(resolvedSweep { $0.controls.pairDifferenceError = false }).isStrictSubset(of: before))
  }

  @Test func anAddedCoefficientKeepsModelAndVectors() throws {
    let added = try resolvedSweep { $0.settings.coefficients.append(3) }
    let new = try SweepPlan(added).allTasks().filter { !before.contains($0.key) }
    #expect(Set(new.map(\.kind)) == [.decompose, .evaluate, .sideEffects, .score])
  }

  @Test func anotherSeedKeepsTheVectors() throws {
    let kept = try keys(resolvedSweep { $0.seed = 8 }) {
      if case .vectors(let work) = $0 { work.controls == nil } else { false }
    }
    #expect(kept.isSubset(of: before) && !kept.isEmpty)
  }

  @Test func whatDecidesAResultIsInTheKey() throws {
    let changes: [(inout ResolvedSweep) -> Void] = [
      { $0.model.reference.digest = Digest(of: "other") }, { $0.model.reference.template = "raw" },
      { $0.settings.unit = .activationNorm }, { $0.settings.score = .sum }, { $0.settings.positions = .all },
    ]
    for change in changes {
      let scores = try keys(resolvedSweep(change)) { if case .score = $0 { true } else { false } }
      #expect(scores.isDisjoint(with: before))
    }
  }
}

/// Ten million tasks are planned as ten are.
@Suite struct LargeSweepTests {
  @Test func anyUnitOfAHugeSweepIsMadeAlone() throws {
    let sweep = try resolvedSweep { sweep in
      sweep.layers = Array(0..<30)
      let behaviour = sweep.behaviours[0]
      sweep.behaviours = (0..<500).map { index in
        var copy = behaviour
        copy.name = "behaviour-\(index)"
        copy.questionCount = 800
        return copy
      }
      let sae = sweep.saes[0]
      sweep.saes = (0..<30).flatMap { layer in
        (0..<6).map { index in
          var copy = sae
          copy.layer = layer
          copy.name = "sae-\(index)"
          copy.source = .file(FileReference(digest: Digest(of: "\(layer) \(index)"), locator: "x"))
          return copy
        }
      }
    }
    let plan = SweepPlan(sweep)
    let last = try plan.chunk(from: plan.unitCount - 1, limit: 1)
    #expect(last.next == nil)
    #expect(last.tasks.allSatisfy { $0.layer == 29 && $0.title.contains("behaviour-499") })
    // The units of one behaviour at one layer, somewhere in the middle.
    let groups = 2 + 6 * (3 + 1 + 1 + 3)
    let middle = try (0..<groups).map { try plan.tasks(inUnit: plan.unitCount / 2 + $0).count }
    #expect(middle.allSatisfy { $0 < 2000 })
    #expect(middle.reduce(0, +) * 500 * 30 > 10_000_000)
    // A unit is what a chunk overshoots by.
    let chunk = try plan.chunk(from: plan.unitCount / 2, limit: 100)
    #expect(chunk.tasks.count < 100 + (middle.max() ?? 0))
  }

  @Test func oneScoreNeverReducesMoreThanItsLimit() throws {
    let sweep = try resolvedSweep { sweep in
      sweep.behaviours = [sweep.behaviours[1]]
      sweep.behaviours[0].questionCount = 20_000
      sweep.behaviours[0].questionTokens.answer = 1
      sweep.saes = []
    }
    let tasks = try SweepPlan(sweep).allTasks()
    for task in tasks where task.kind == .score { #expect(task.dependencies.count <= 2020) }
    #expect(tasks.allSatisfy { $0.estimate <= 600 })
  }
}
