// Which table is used: the best that was compiled in and that this machine can run.
#include "kernels/table.hpp"

namespace weft::kernels {

#define WEFT_DECLARE(isa)                    \
  namespace isa {                            \
  extern const Table<float> float_table;     \
  extern const Table<double> double_table;   \
  extern const Table<int32_t> int32_table;   \
  extern const Table<int64_t> int64_table;   \
  extern const Gemm<float> float_gemm;       \
  extern const Gemm<double> double_gemm;     \
  extern const Gemm<int64_t> int64_gemm;     \
  }
WEFT_DECLARE(baseline)
#if WEFT_MULTIVERSION
WEFT_DECLARE(avx2)
WEFT_DECLARE(avx512)
#define WEFT_CHOOSE(isa, name) \
  ((isa) == Isa::avx512 ? avx512::name : (isa) == Isa::avx2 ? avx2::name : baseline::name)
#else
#define WEFT_CHOOSE(isa, name) ((void)(isa), baseline::name)
#endif

bool has_isa(Isa isa) {
  if (isa == Isa::baseline) return true;
#if WEFT_MULTIVERSION
  __builtin_cpu_init();
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && has_isa(Isa::avx2);
#else
  return false;
#endif
}

Isa best_isa() {
  static const Isa best = has_isa(Isa::avx512) ? Isa::avx512 : has_isa(Isa::avx2) ? Isa::avx2 : Isa::baseline;
  return best;
}

const char* isa_name(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "baseline";
}

template <>
const Table<float>& table<float>(Isa isa) {
  return WEFT_CHOOSE(isa, float_table);
}
template <>
const Table<double>& table<double>(Isa isa) {
  return WEFT_CHOOSE(isa, double_table);
}
template <>
const Table<int32_t>& table<int32_t>(Isa isa) {
  return WEFT_CHOOSE(isa, int32_table);
}
template <>
const Table<int64_t>& table<int64_t>(Isa isa) {
  return WEFT_CHOOSE(isa, int64_table);
}
template <>
const Gemm<float>& gemm<float>(Isa isa) {
  return WEFT_CHOOSE(isa, float_gemm);
}
template <>
const Gemm<double>& gemm<double>(Isa isa) {
  return WEFT_CHOOSE(isa, double_gemm);
}
template <>
const Gemm<int64_t>& gemm<int64_t>(Isa isa) {
  return WEFT_CHOOSE(isa, int64_gemm);
}

template <class T>
const Table<T>& table() {
  return table<T>(best_isa());
}
template <class P>
const Gemm<P>& gemm() {
  return gemm<P>(best_isa());
}

template const Table<float>& table<float>();
template const Table<double>& table<double>();
template const Table<int32_t>& table<int32_t>();
template const Table<int64_t>& table<int64_t>();
template const Gemm<float>& gemm<float>();
template const Gemm<double>& gemm<double>();
template const Gemm<int64_t>& gemm<int64_t>();

}  // namespace weft::kernels
