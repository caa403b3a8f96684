internal import Diagnostics
package import Kernels
internal import LanguageModels
internal import SparseAutoencoders
package import SweepRecords
internal import Synchronization

/// Runs one task of any kind: pure inputs to results. Keeps the model and the SAE of the last task loaded for the next one.
package final class ExperimentExecutor: TaskExecutor {
  let pool: ThreadPool
  private let loaded = Mutex(Loaded())

  /// What stays in memory between tasks: at most one model, one SAE file and one untrained dictionary.
  private struct Loaded: ~Copyable {
    var model: (reference: ModelReference, value: PromptedModel)?
    var sae: (digest: Digest, value: SparseAutoencoder)?
    var untrained: (reference: SAEReference, sample: InputReference?, value: SparseAutoencoder)?
  }

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

  /// An SAE from a file, mapped unless it is the last one used.
  func sae(file digest: Digest, inputs: TaskInputs) throws -> SparseAutoencoder {
    if let sae = loaded.withLock({ $0.sae?.digest == digest ? $0.sae?.value : nil }) { return sae }
    guard let path = inputs.paths[digest] else {
      throw TaskFault(.worker, "the SAE \(digest.short) is not on this machine", input: digest)
    }
    let sae = try SparseAutoencoder(contentsOf: path)
    loaded.withLock { $0.sae = (digest, sae) }
    return sae
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
