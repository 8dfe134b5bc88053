// Which instruction sets the kernels are compiled for, and which of them this machine has.
//
// The inner loops (simd.inc, gemm.inc) are compiled once for each, in a namespace of its own, and the best one that the
// machine has is chosen once. GCC and Clang on x86-64 Linux only: elsewhere there is the baseline, left to the
// compiler's vectoriser. The regions below are those of simdjson (include/simdjson/portability.h, Langdale and Lemire):
// Clang wants an attribute on every function and has it taken away again; GCC compiles templates with the options in
// force at the end of the file, so there it stays.
//
// Files that are compiled for more than the baseline include nothing whose inline functions could be emitted there: the
// linker keeps one copy of such a function, and may keep the one that older machines cannot run.
#pragma once

#include <cstddef>
#include <cstdint>

// What GCC and Clang have and other compilers do not: vector types, 128-bit integers, arithmetic that tells of overflow.
// WEFT_PORTABLE_KERNELS does without, to test on one machine what another compiler gets (native/tests/CMakeLists.txt).
#if defined(__GNUC__) && !defined(WEFT_PORTABLE_KERNELS)
#define WEFT_GNU 1
#else
#define WEFT_GNU 0
#endif

#if WEFT_GNU && defined(__x86_64__) && defined(__linux__)
#define WEFT_MULTIVERSION 1
#else
#define WEFT_MULTIVERSION 0
#endif

#define WEFT_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define WEFT_TARGET_BEGIN(isa) WEFT_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define WEFT_TARGET_END WEFT_PRAGMA(clang attribute pop)
#else
#define WEFT_TARGET_BEGIN(isa) WEFT_PRAGMA(GCC target(isa))
#define WEFT_TARGET_END
#endif

#define WEFT_TARGET_AVX2 "avx2,fma,bmi,bmi2"
#define WEFT_TARGET_AVX512 "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,bmi,bmi2"

namespace weft::kernels {

enum class Isa : uint32_t { baseline, avx2, avx512 };

bool has_isa(Isa);  // compiled in, and this machine can run it
Isa best_isa();
const char* isa_name(Isa);

}  // namespace weft::kernels
