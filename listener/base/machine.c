/* SPDX-License-Identifier: Apache-2.0 */
/* The processor is asked; elsewhere than on x86-64 there is one way only. */
#include "base/machine.h"

enum machine machine_here(void)
{
#ifdef __x86_64__
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
	    !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt"))
		return MACHINE_ANY;
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2"))
		return MACHINE_AVX512;
	return MACHINE_AVX2;
#else
	return MACHINE_ANY;
#endif
}
