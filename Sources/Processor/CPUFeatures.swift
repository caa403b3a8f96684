internal import CProcessor

/// What the kernels need of the CPU and this one lacks.
///
/// A module of its own, compiled for the lowest CPU level: the check must run before the first instruction that it checks for.
package enum CPUFeatures {
  /// The names of the missing parts of x86-64-v3, in a fixed order; empty where everything is there (always on arm64).
  package static func missing() -> [String] {
    #if arch(x86_64)
      names(of: processor_missing())
    #else
      []
    #endif
  }

  #if arch(x86_64)
    static func names(of mask: UInt32) -> [String] {
      let names: [(mask: Int, name: String)] = [
        (processor_avx, "AVX"), (processor_avx2, "AVX2"), (processor_fma, "FMA"), (processor_f16c, "F16C"),
        (processor_bmi, "BMI2"), (processor_lzcnt, "LZCNT"), (processor_movbe, "MOVBE"),
      ]
      return names.filter { Int(mask) & $0.mask != 0 }.map(\.name)
    }
  #endif

  /// One line for the user, or nil where nothing is missing; the executable prints it and exits before it computes anything.
  package static var complaint: String? {
    let missing = missing()
    guard !missing.isEmpty else { return nil }
    return "steerscope: this CPU lacks \(missing.joined(separator: ", ")); "
      + "expected x86-64-v3 (Intel Haswell of 2013, AMD Excavator of 2015, or later)"
  }
}
