// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target is compiled with (see CONTRIBUTING.md, "Settings").
let common: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .treatAllWarnings(as: .error),
]

/// The CPU level that the kernels are compiled for, which `doctor` checks: x86-64-v3 (AVX2, FMA, F16C), or x86-64-v4 (AVX-512) with
/// `STEERSCOPE_CPU=x86-64-v4` in the environment of the build; arm64 has NEON by itself.
#if arch(x86_64)
  let wide = Context.environment["STEERSCOPE_CPU"] == "x86-64-v4"
  // The parts of x86-64-v4 by name: the level itself would have the compiler prefer vectors of 256 bits.
  let parts = wide ? ["-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"] : []
  let level: [SwiftSetting] = [.unsafeFlags((["-march=x86-64-v3"] + parts).flatMap { ["-Xcc", $0] })]
  let levelName: [SwiftSetting] = wide ? [.define("X86_64_V4")] : []
#else
  let level: [SwiftSetting] = []
  let levelName: [SwiftSetting] = []
#endif

/// The kernels are optimised in every configuration; nothing of them is inlined into modules of a lower CPU level.
let kernels: [SwiftSetting] = common + level + levelName + [.unsafeFlags(["-O", "-Xfrontend", "-disable-cmo"])]

func library(_ name: String, _ dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = common) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, resources: resources, swiftSettings: common)
}

func system(_ name: String, pkgConfig: String, apt: String) -> Target {
  .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let package = Package(
  name: "steerscope",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    // Floor 0: nothing of ours below.
    library("Diagnostics"),
    library("Kernels", ["CAllocator", "CProcessor"], settings: kernels),
    library("Processor", ["CProcessor"], settings: common + levelName),
    library("SweepRecords", ["CLibCrypto"]),
    .systemLibrary(name: "CAllocator"),
    system("CLibCrypto", pkgConfig: "libcrypto", apt: "libssl-dev"),
    system("CPCRE2", pkgConfig: "libpcre2-8", apt: "libpcre2-dev"),
    system("CPostgreSQL", pkgConfig: "libpq", apt: "libpq-dev"),
    .systemLibrary(name: "CProcessor"),
    system("CRabbitMQ", pkgConfig: "librabbitmq", apt: "librabbitmq-dev"),
    system("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
    system("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
    // Floor 1.
    library("Telemetry", ["Diagnostics"]),
    library("TensorFiles", ["CZlib", "Diagnostics", "Kernels"]),
    // Floor 2.
    library("Tokenization", ["CPCRE2", "Diagnostics"]),
    // Floor 3.
    library("LanguageModels", ["Diagnostics", "Kernels", "TensorFiles"]),
    library("SparseAutoencoders", ["Diagnostics", "Kernels", "TensorFiles"]),
    // Floor 4.
    library("Decomposition", ["Diagnostics", "Kernels", "SparseAutoencoders", "SweepRecords"]),
    library("Steering", ["Diagnostics", "Kernels", "LanguageModels", "SweepRecords", "Tokenization"]),
    // Floor 5.
    library(
      "Experiments",
      [
        "Decomposition", "Diagnostics", "Kernels", "LanguageModels", "SparseAutoencoders", "Steering", "SweepRecords",
        "TensorFiles", "Tokenization",
      ]),
    library("Messaging", ["CRabbitMQ", "Diagnostics", "SweepRecords"]),
    .target(
      name: "Schemas", path: "schemas", exclude: ["examples.sql", "messages", "sweep.schema.json"],
      resources: [
        .embedInCode("grants_postgresql.sql"),
        .embedInCode("migration_0001_initial_postgresql.sql"), .embedInCode("migration_0001_initial_sqlite.sql"),
        .embedInCode("migration_0002_problems_postgresql.sql"), .embedInCode("migration_0002_problems_sqlite.sql"),
        .embedInCode("migration_0003_worker_memory_postgresql.sql"),
        .embedInCode("migration_0003_worker_memory_sqlite.sql"),
      ], swiftSettings: common),
    library("Storage", ["CPostgreSQL", "CSQLite", "Diagnostics", "Schemas", "SweepRecords"]),
    library("SweepPlanning", ["Diagnostics", "SweepRecords", .product(name: "Yams", package: "Yams")]),
    // Floor 6.
    library("Orchestration", ["Diagnostics", "Messaging", "Storage", "SweepRecords", "Telemetry"]),
    library("Reporting", ["Diagnostics", "Storage", "SweepRecords", "TensorFiles"]),
    // Floor 7.
    .executableTarget(
      name: "steerscope",
      dependencies: [
        "Decomposition", "Diagnostics", "Experiments", "Kernels", "LanguageModels", "Orchestration", "Processor",
        "Messaging", "Reporting", "SparseAutoencoders", "Steering", "Storage", "SweepPlanning", "SweepRecords",
        "Telemetry",
        "TensorFiles", "Tokenization", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: common),
    // Our side of what `ops/bench` compares.
    .executableTarget(
      name: "comparisons",
      dependencies: [
        "Decomposition", "Diagnostics", "Kernels", "LanguageModels", "SparseAutoencoders", "Steering", "SweepRecords",
        "TensorFiles",
      ], path: "Benchmarks/Comparisons", swiftSettings: common),

    tests(
      "Decomposition", ["Decomposition", "Diagnostics", "Kernels", "SparseAutoencoders", "SweepRecords", "TensorFiles"]),
    tests(
      "Experiments",
      [
        "Diagnostics", "Experiments", "Kernels", "LanguageModels", "Orchestration", "Reporting", "SparseAutoencoders",
        "Steering", "Storage", "SweepPlanning", "SweepRecords", "TensorFiles", "Tokenization", "steerscope",
      ]),
    tests("Kernels", ["Kernels"]),
    tests("LanguageModels", ["Diagnostics", "Kernels", "LanguageModels", "TensorFiles"]),
    tests("Messaging", ["CRabbitMQ", "Diagnostics", "Messaging", "SweepRecords", "TestServers"]),
    // Worlds for tests of what works together: any store, any queue, manual time, processes that die.
    .target(
      name: "OrchestrationSupport",
      dependencies: ["CSQLite", "Messaging", "Orchestration", "Storage", "SweepRecords"],
      path: "Tests/OrchestrationSupport", swiftSettings: common),
    tests(
      "Orchestration",
      ["Diagnostics", "Messaging", "Orchestration", "OrchestrationSupport", "Storage", "SweepRecords", "Telemetry"]),
    tests("Processor", ["Processor"]),
    tests("Reporting", ["Diagnostics", "Reporting", "Storage", "SweepRecords", "TensorFiles"]),
    tests("SparseAutoencoders", ["Diagnostics", "Kernels", "SparseAutoencoders", "TensorFiles"]),
    tests(
      "Steering",
      ["Diagnostics", "Kernels", "LanguageModels", "Steering", "SweepRecords", "TensorFiles", "Tokenization"]),
    // Real servers, for tests of what talks to them.
    .target(name: "TestServers", dependencies: ["CSpawn"], path: "Tests/TestServers", swiftSettings: common),
    .systemLibrary(name: "CSpawn", path: "Tests/CSpawn"),
    // Everything that tasks made, for comparison.
    .target(
      name: "ResultDump", dependencies: ["Storage", "SweepRecords"], path: "Tests/ResultDump", swiftSettings: common),
    .testTarget(
      name: "IntegrationTests",
      dependencies: [
        "Messaging", "Orchestration", "OrchestrationSupport", "ResultDump", "Storage", "SweepRecords", "TestServers",
        "steerscope",
      ], swiftSettings: common),
    // What a task costs beside its computing: `ops/bench-cluster`.
    .executableTarget(
      name: "cluster-benchmark",
      dependencies: [
        "CPostgreSQL", "CRabbitMQ", "CRabbitMQLogin", "Messaging", "Orchestration", "Storage", "SweepRecords",
        "TestServers", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Benchmarks/Cluster", swiftSettings: common),
    .systemLibrary(name: "CRabbitMQLogin", path: "Benchmarks/CRabbitMQLogin"),
    // The cluster while everything around it fails: `ops/chaos`.
    .executableTarget(
      name: "chaos",
      dependencies: [
        "Messaging", "ResultDump", "Storage", "SweepRecords", "TensorFiles", "TestServers",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Tests/Chaos", swiftSettings: common),
    // Spawns the program, which the dependency has built beside the tests.
    tests("Steerscope", ["steerscope", "TensorFiles", "TestServers"]),
    tests("Storage", ["CPostgreSQL", "Diagnostics", "Schemas", "Storage", "SweepRecords", "TestServers"]),
    tests("SweepPlanning", ["Diagnostics", "SweepPlanning", "SweepRecords"]),
    tests("Telemetry", ["Diagnostics", "Telemetry"]),
    tests("TensorFiles", ["CZlib", "Diagnostics", "Kernels", "TensorFiles"]),
    tests("Tokenization", ["Diagnostics", "Tokenization"]),
  ],
  swiftLanguageModes: [.v6]
)
