// The inner loops for x86-64 with AVX-512 (F, DQ, BW, VL: 2017 on).
#include "kernels/table.hpp"

#if WEFT_MULTIVERSION
#define WEFT_ISA avx512
#define WEFT_VECTOR_BYTES 64
#define WEFT_TILE_ROWS 12
#define WEFT_TILE_VECTORS 2

WEFT_TARGET_BEGIN(WEFT_TARGET_AVX512)
#include "kernels/simd.inc"
//
#include "kernels/gemm.inc"
WEFT_TARGET_END
#endif
