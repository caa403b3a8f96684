internal import Decomposition
internal import Diagnostics
package import Kernels
internal import LanguageModels
internal import SparseAutoencoders
internal import Steering
package import SweepRecords
internal import Synchronization

/// Runs one task of any kind: pure inputs to results. Keeps the model and the SAE of the last task loaded for the next one.
package final class ExperimentExecutor: TaskExecutor {
  let pool: ThreadPool
  private let loaded = Mutex(Loaded())

  /// What stays in memory between tasks: at most one model, one SAE, one untrained dictionary,
  /// and where the last slice of text and of pairs ended, so that the task of the next layer goes on from there.
  private struct Loaded: ~Copyable {
    var model: (reference: ModelReference, value: PromptedModel)?
    var sae: (source: SAEReference.Source, value: SparseAutoencoder)?
    var untrained: (reference: SAEReference, sample: InputReference?, value: SparseAutoencoder)?
    var harvest: (model: ModelReference, source: HarvestWork.Source, streams: [ResidualStream])?
    /// The work without its layers.
    var extraction: (work: ExtractWork, streams: ExtractionStreams)?
  }

  private let questions = Mutex(PreparedQuestions())
  /// What the methods of a behaviour, which are tasks of their own, share.
  let decompositions = DecompositionMemory()

  package init(pool: ThreadPool) { self.pool = pool }

  package func execute(
    _ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor
  ) throws(TaskFault) -> TaskResult {
    let run = TaskRun(executor: self, inputs: inputs, monitor: monitor)
    do {
      return switch work {
      case .harvest(let work): try run.harvest(work)
      case .statistics(let work): try run.statistics(work)
      case .extract(let work): try run.extract(work)
      case .vectors(let work): try run.vectors(work)
      case .trainSAE(let work): try run.train(work)
      case .decompose(let work): try run.decompose(work)
      case .evaluate(let work): try run.evaluate(work)
      case .sideEffects(let work): try run.sideEffects(work)
      case .score(let work): try run.score(work)
      }
    } catch let fault as TaskFault {
      throw fault
    } catch is CancellationError {
      throw TaskFault(.stopped, "stopped")
    } catch {
      if monitor.shouldStop { throw TaskFault(.stopped, "stopped") }
      throw TaskFault(.task, "\(error)")
    }
  }

  /// The model, loaded from its verified file unless it is the last one used.
  func model(_ reference: ModelReference, inputs: TaskInputs) throws -> PromptedModel {
    if let model = loaded.withLock({ $0.model?.reference == reference ? $0.model?.value : nil }) { return model }
    guard let path = inputs.paths[reference.digest] else {
      throw TaskFault(.worker, "the model \(reference.digest.short) is not on this machine", input: reference.digest)
    }
    loaded.withLock { $0.model = nil }
    guard let weights = WeightStorage(rawValue: reference.weights) else {
      throw TaskFault(.task, "weights are as-stored, float32 or bfloat16, not \(reference.weights)")
    }
    let model = try PromptedModel(path: path, template: reference.template, weights: weights, pool: pool)
    loaded.withLock { $0.model = (reference, model) }
    return model
  }

  /// The questions of an evaluation, those that an earlier task prepared as they are.
  func prepared(
    _ work: EvaluateWork, _ prepare: ([Int]) throws -> [PreparedQuestion]
  ) throws -> [PreparedQuestion] {
    func key(_ index: Int) -> PreparedQuestions.Key {
      .init(
        model: work.model, questions: work.questions, index: index, layer: work.layer,
        positions: work.settings.positions, score: work.settings.score)
    }
    let range = work.from..<work.to
    var found = questions.withLock { $0.find(range.map(key)) }
    let missing = range.filter { found[$0] == nil }
    if !missing.isEmpty {
      let made = try prepare(missing)
      questions.withLock { $0.insert(zip(missing, made).map { (key($0), $1) }) }
      for (index, question) in zip(missing, made) { found[index] = question }
    }
    return range.compactMap { found[$0] }
  }

  /// An SAE, opened unless it is the last one used.
  func sae(_ source: SAEReference.Source, _ open: () throws -> SparseAutoencoder) throws -> SparseAutoencoder {
    if let sae = loaded.withLock({ $0.sae?.source == source ? $0.sae?.value : nil }) { return sae }
    let sae = try open()
    loaded.withLock { $0.sae = (source, sae) }
    return sae
  }

  /// Where the last harvest of the same text ended, by batch of contexts, if that was below `layer`.
  func streams(of source: HarvestWork.Source, model: ModelReference, below layer: Int) -> [ResidualStream]? {
    loaded.withLock { loaded in
      guard let last = loaded.harvest, last.source == source, last.model == model else { return nil }
      return last.streams.allSatisfy { $0.layer < layer } ? last.streams : nil
    }
  }

  func keep(_ streams: [ResidualStream], of source: HarvestWork.Source, model: ModelReference) {
    loaded.withLock { $0.harvest = (model, source, streams) }
  }

  /// Where the last extraction of the same pairs ended.
  func streams(of work: ExtractWork) -> ExtractionStreams? {
    var work = work
    work.layers = []
    let last = loaded.withLock { $0.extraction }
    return last.flatMap { $0.work == work ? $0.streams : nil }
  }

  func keep(_ streams: ExtractionStreams, of work: ExtractWork) {
    var work = work
    work.layers = []
    loaded.withLock { $0.extraction = (work, streams) }
  }

  /// An untrained dictionary, drawn and calibrated unless it is the last one used.
  func untrained(
    _ reference: SAEReference, sample: InputReference?, _ make: () throws -> SparseAutoencoder
  ) throws -> SparseAutoencoder {
    let known = loaded.withLock { $0.untrained }
    if let known, known.reference == reference, known.sample == sample { return known.value }
    loaded.withLock { $0.untrained = nil }
    let made = try make()
    loaded.withLock { $0.untrained = (reference, sample, made) }
    return made
  }
}

/// One task being run: its inputs, and what all kinds need of them.
struct TaskRun {
  let executor: ExperimentExecutor
  let inputs: TaskInputs
  let monitor: any TaskMonitor

  var pool: ThreadPool { executor.pool }

  /// The model of a task, which has the layers that the task is about.
  func model(_ reference: ModelReference, layers: [Int]) throws -> PromptedModel {
    let prompted = try executor.model(reference, inputs: inputs)
    let blocks = prompted.model.architecture.blocks
    guard let missing = layers.first(where: { !(0..<blocks).contains($0) }) else { return prompted }
    throw TaskFault(.task, "the model has layers 0 to \(blocks - 1), but the task is about layer \(missing)")
  }

  /// The bytes of an input. A missing one is the machinery's fault, not the task's.
  func bytes(_ reference: InputReference) throws(TaskFault) -> [UInt8] {
    guard let bytes = inputs.artifacts[reference] else {
      throw TaskFault(.transient, "input \(reference) was not fetched")
    }
    return bytes
  }

  /// Tells the monitor how far the task is; false when it should stop.
  func advance(_ fraction: Double) -> Bool {
    monitor.advanced(to: fraction)
    return !monitor.shouldStop
  }

  func stopIfAsked() throws(TaskFault) {
    if monitor.shouldStop { throw TaskFault(.stopped, "stopped") }
  }
}
