internal import Diagnostics
internal import Foundation

/// What a SAELens `cfg.json` says, in any version's spelling (formats.md, section 2).
///
/// Every key is known to change numbers, known not to, or refused: an SAE is never read differently from how it was written.
struct SAELensConfiguration {
  var architecture: SparseAutoencoder.Architecture
  var dimension: Int
  var width: Int
  var convention: SparseAutoencoder.InputConvention
  /// As the file has it: `expected_average_only_in` still lacks its factor.
  var normalization: Normalization
  /// The factor of `expected_average_only_in` where it stands in the configuration itself.
  var scaleFactor: Float?
  /// Whether the file says that its activations are multiplied by a finetuned scale.
  var isFinetuned: Bool
  var metadata: SparseAutoencoder.Metadata

  enum Normalization: String, CaseIterable {
    case none
    case expectedAverage = "expected_average_only_in"
    case constantNorm = "constant_norm_rescale"
    case layerNorm = "layer_norm"
  }

  /// - Parameters:
  ///   - json: the text of `cfg.json`.
  ///   - subject: what errors call the file.
  ///   - source: what the SAE is called from then on.
  init(_ json: [UInt8], subject: String, source: String) throws(InputError) {
    var reader = try KeyReader(json, subject: subject)
    if try !reader.isVersion6() { try reader.renameOldKeys() }
    try reader.refuseUnknownKeys()
    dimension = try reader.count("d_in")
    width = try reader.count("d_sae")
    architecture = try reader.architecture()
    convention = try reader.boolean("apply_b_dec_to_input") ?? true ? .subtracted : .kept
    normalization = try reader.normalization()
    scaleFactor = try reader.scaleFactor()
    isFinetuned = try reader.boolean("finetuning_scaling_factor") ?? false
    try reader.refuseWhatChangesNumbers()
    metadata = reader.metadata(source: source)
  }
}

/// The keys of a configuration, and what was made of them.
private struct KeyReader {
  let subject: String
  private var keys: [String: JSONValue]

  init(_ json: [UInt8], subject: String) throws(InputError) {
    self.subject = subject
    let parsed: JSONValue
    do { parsed = try JSONDecoder().decode(JSONValue.self, from: Data(json)) } catch {
      throw InputError(subject, expected: "a JSON object", found: "text that is none")
    }
    guard case .object(let keys) = parsed else {
      throw InputError(subject, expected: "a JSON object", found: parsed.description)
    }
    self.keys = keys
  }

  private func wrong(_ key: String, expected: String, remedy: String = "") -> InputError {
    InputError("\(subject): \(key)", expected: expected, found: keys[key]?.description ?? "no such key", remedy: remedy)
  }

  private func value(_ key: String) -> JSONValue? { keys[key] == .null ? nil : keys[key] }

  func count(_ key: String) throws(InputError) -> Int {
    guard let count = value(key)?.integer, count > 0, count <= Int(Int32.max) else {
      throw wrong(key, expected: "a whole number above 0")
    }
    return count
  }

  func boolean(_ key: String) throws(InputError) -> Bool? {
    guard let found = value(key) else { return nil }
    guard let boolean = found.boolean else { throw wrong(key, expected: "true or false") }
    return boolean
  }

  /// Files name the version that wrote them from 6 on (release candidates included); older ones name none or an older one.
  func isVersion6() throws(InputError) -> Bool {
    let version = value("sae_lens_version") ?? value("metadata")?.object?["sae_lens_version"] ?? .null
    if version == .null { return false }
    guard let text = version.string, let major = Int(text.prefix { $0 != "." }) else {
      throw InputError("\(subject): sae_lens_version", expected: "a version such as 6.0.0", found: version.description)
    }
    return major >= 6
  }

  mutating func renameOldKeys() throws(InputError) {
    let renamed = [
      "hook_point": "hook_name", "hook_point_head_index": "hook_head_index", "hook_point_layer": "hook_layer",
      "activation_fn_str": "activation_fn",
    ]
    for (old, new) in renamed.sorted(by: { $0.key < $1.key }) {
      guard let value = keys.removeValue(forKey: old) else { continue }
      guard keys[new] == nil || keys[new] == value else {
        throw InputError("\(subject): \(old)", expected: "the same as \(new)", found: value.description)
      }
      keys[new] = value
    }
    switch keys["normalize_activations"] {
    case .boolean(true): keys["normalize_activations"] = .string("expected_average_only_in")
    case .boolean(false), .null: keys["normalize_activations"] = .string("none")
    default: break
    }
    guard value("activation_fn")?.string == "topk" else { return }
    guard let k = value("activation_fn_kwargs")?.object?["k"] else {
      throw wrong("activation_fn_kwargs", expected: "the k of activation_fn \"topk\"")
    }
    keys["architecture"] = .string("topk")
    keys["k"] = k
  }

  func architecture() throws(InputError) -> SparseAutoencoder.Architecture {
    switch value("architecture")?.string {
    case "standard": return .standard
    case "jumprelu": return .jumpReLU
    case "gated": return .gated
    case "topk":
      let k = try count("k")
      guard k <= (try count("d_sae")) else { throw wrong("k", expected: "at most d_sae") }
      return .topK(k, rescalesByDecoderNorm: try boolean("rescale_acts_by_decoder_norm") ?? false)
    case nil where keys["architecture"] == nil: return .standard
    default:
      throw wrong(
        "architecture", expected: "standard, jumprelu, topk or gated",
        remedy: "transcoders and other architectures don't reconstruct their own input")
    }
  }

  func normalization() throws(InputError) -> SAELensConfiguration.Normalization {
    guard let found = value("normalize_activations") else { return .none }
    guard let name = found.string, let known = SAELensConfiguration.Normalization(rawValue: name) else {
      let names = SAELensConfiguration.Normalization.allCases.map(\.rawValue).joined(separator: ", ")
      throw wrong("normalize_activations", expected: "one of \(names)")
    }
    return known
  }

  func scaleFactor() throws(InputError) -> Float? {
    guard let found = value("norm_scaling_factor") else { return nil }
    guard let factor = found.number.map(Float.init), factor.isFinite, factor > 0 else {
      throw wrong("norm_scaling_factor", expected: "a finite number above 0")
    }
    return factor
  }

  func refuseUnknownKeys() throws(InputError) {
    for key in keys.keys.sorted() where !Self.understood.contains(key) && !Self.harmless.contains(key) {
      throw InputError(
        "\(subject): \(key)", expected: "only keys whose meaning is known", found: keys[key]?.description ?? "",
        remedy: "it may change the numbers; remove it if it does not")
    }
  }

  /// Keys with a meaning for inference whose usual value means nothing.
  func refuseWhatChangesNumbers() throws(InputError) {
    if let function = value("activation_fn"), function.string != "relu" {
      guard case .topK = try architecture(), function.string == "topk" else {
        throw wrong("activation_fn", expected: "relu, or topk with its k")
      }
    }
    if let reshaping = value("reshape_activations"), reshaping != .string("none"), reshaping != .string("hook_z") {
      throw wrong("reshape_activations", expected: "none or hook_z")
    }
    if case .topK = try architecture() {
    } else if value("rescale_acts_by_decoder_norm") == .boolean(true) {
      throw wrong("rescale_acts_by_decoder_norm", expected: "false for an SAE that is not topk")
    }
    for key in ["model_from_pretrained_kwargs", "activation_fn_kwargs"] {
      guard let found = value(key) else { continue }
      guard found.object != nil else { throw wrong(key, expected: "an object") }
    }
    if let type = value("dtype") {
      let names = ["float32", "float16", "bfloat16", "float64"]
      guard let name = type.string, names.contains(name.replacing("torch.", with: "")) else {
        throw wrong("dtype", expected: "one of \(names.joined(separator: ", "))")
      }
    }
  }

  func metadata(source: String) -> SparseAutoencoder.Metadata {
    let nested = value("metadata")?.object ?? [:]
    func entry(_ key: String) -> JSONValue? { nested[key] ?? keys[key] }
    let hookName = entry("hook_name")?.string
    return SparseAutoencoder.Metadata(
      source: source, modelName: entry("model_name")?.string, hookName: hookName,
      layer: hookName.flatMap(Self.layer(ofHook:)) ?? entry("hook_layer")?.integer,
      contextSize: entry("context_size")?.integer, prependsBOS: entry("prepend_bos")?.boolean)
  }

  /// `blocks.14.hook_resid_post` and `model.layers.14` are layer 14; the input of a block is the output of the one before.
  private static func layer(ofHook name: String) -> Int? {
    let parts = name.split(separator: ".")
    guard let place = parts.firstIndex(where: { ["blocks", "layers", "h"].contains($0) }), place + 1 < parts.count,
      let block = Int(parts[place + 1]), block >= 0
    else { return nil }
    return name.hasSuffix("hook_resid_pre") ? (block > 0 ? block - 1 : nil) : block
  }

  private static let understood: Set<String> = [
    "architecture", "d_in", "d_sae", "dtype", "apply_b_dec_to_input", "normalize_activations", "k",
    "rescale_acts_by_decoder_norm", "activation_fn", "activation_fn_kwargs", "finetuning_scaling_factor",
    "reshape_activations", "metadata", "sae_lens_version", "hook_name", "hook_layer", "model_name", "context_size",
    "prepend_bos", "norm_scaling_factor",
  ]

  /// What describes the model, the data, the training or the run: SAELens 2 to 6 writes these, none changes an encoding.
  private static let harmless: Set<String> = Set(
    """
    act_store_device activations_mixing_fraction adam_beta1 adam_beta2 autocast autocast_lm aux_loss_coefficient
    auxiliary_reconstruction_loss b_dec_init_method buffer_size_gb cached_activations_path checkpoint_path compile_llm
    compile_sae d_out dataset_path dataset_trust_remote_code dead_feature_threshold dead_feature_window
    decoder_heuristic_init decoder_heuristic_init_norm decoder_init_norm decoder_orthogonal_init device
    disable_concat_sequences eval_batch_size_prompts eval_every_n_wandb_logs exclude_special_tokens expansion_factor
    feature_sampling_window finetuning_method finetuning_tokens from_pretrained_path ghost_grad_loss hook_eval
    hook_head_index hook_head_index_out hook_name_out init_encoder_as_decoder_transpose is_dataset_tokenized
    jumprelu_bandwidth jumprelu_init_threshold jumprelu_sparsity_loss_mode jumprelu_tanh_scale l0_coefficient
    l0_warm_up_steps l1_coefficient l1_loss l1_warm_up_steps llm_batch_size llm_compilation_mode llm_device
    log_activations_store_to_wandb log_optimizer_state_to_wandb log_to_wandb logger lp_norm lr lr_decay_steps lr_end
    lr_scheduler_name lr_warm_up_steps matryoshka_widths model_class_name model_from_pretrained_kwargs model_kwargs
    model_training_steps mse_loss mse_loss_normalization n_batches_for_norm_estimate n_batches_in_buffer n_checkpoints
    n_eval_batches n_restart_cycles neuronpedia_id noise_scale normalize_sae_decoder output_path
    pre_act_loss_coefficient prefetch_llm_batches resume resume_from_checkpoint run_name sae_compilation_mode
    sae_lens_training_version save_final_checkpoint scale_sparsity_penalty_by_decoder_norm seed seqpos_slice
    sequence_separator_token sparsity_coefficient store_batch_size_prompts streaming tokens_per_buffer
    topk_threshold_lr total_training_steps total_training_tokens train_batch_size train_batch_size_tokens
    training_tokens use_cached_activations use_chat_formatting use_ghost_grads use_sparse_activations verbose
    wandb_entity wandb_id wandb_log_frequency wandb_project
    """.split(whereSeparator: \.isWhitespace).map(String.init))
}
