// The inner loops for any machine of this architecture.
#include "kernels/table.hpp"

#define WEFT_ISA baseline
#define WEFT_VECTOR_BYTES 16
#define WEFT_TILE_ROWS 4
#define WEFT_TILE_VECTORS 2

#include "kernels/simd.inc"
//
#include "kernels/gemm.inc"
