// What only a host build has: which version of the functions this is, and which arithmetic it was built with.

#include "layout.h"

extern "C" {

/// Of the C ABI of all functions in this folder.
int32 aie_host_abi() { return 2; }

int32 aie_host_exact() { return AIE_HOST_EXACT; }

} // extern "C"
