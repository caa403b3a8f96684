internal import CProcessor

/// What the kernels need of the CPU and this one lacks.
///
/// A module of its own, compiled for the lowest CPU level: the check must run before the first instruction that it checks for.
package enum CPUFeatures {
  /// What the kernels were compiled for: `x86-64-v3` (AVX2), `x86-64-v4` (AVX-512), or `arm64`.
  package static var level: String {
    #if X86_64_V4
      "x86-64-v4"
    #elseif arch(x86_64)
      "x86-64-v3"
    #else
      "arm64"
    #endif
  }

  /// The names of the missing parts of the level, in a fixed order; empty where everything is there (always on arm64).
  package static func missing() -> [String] {
    #if X86_64_V4
      names(of: processor_missing(UInt32(processor_level4)))
    #elseif arch(x86_64)
      names(of: processor_missing(UInt32(processor_level3)))
    #else
      []
    #endif
  }

  #if arch(x86_64)
    static func names(of mask: UInt32) -> [String] {
      let names: [(mask: Int, name: String)] = [
        (processor_avx, "AVX"), (processor_avx2, "AVX2"), (processor_fma, "FMA"), (processor_f16c, "F16C"),
        (processor_bmi, "BMI2"), (processor_lzcnt, "LZCNT"), (processor_movbe, "MOVBE"),
        (processor_avx512f, "AVX-512F"), (processor_avx512bw, "AVX-512BW"), (processor_avx512cd, "AVX-512CD"),
        (processor_avx512dq, "AVX-512DQ"), (processor_avx512vl, "AVX-512VL"),
      ]
      return names.filter { Int(mask) & $0.mask != 0 }.map(\.name)
    }
  #endif

  /// One line for the user, or nil where nothing is missing; the executable prints it and exits before it computes anything.
  package static var complaint: String? {
    let missing = missing()
    guard !missing.isEmpty else { return nil }
    #if X86_64_V4
      let expected =
        "x86-64-v4 (AVX-512), as this program was built; build it without STEERSCOPE_CPU for any CPU since 2015"
    #else
      let expected = "x86-64-v3 (Intel Haswell of 2013, AMD Excavator of 2015, or later)"
    #endif
    return "steerscope: this CPU lacks \(missing.joined(separator: ", ")); expected \(expected)"
  }
}
