/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the quick ways is for which machine. */
#include "flow/quick.h"

quick_parser quick_parser_of(enum machine machine)
{
	static const quick_parser parsers[MACHINES] = {
		[MACHINE_ANY] = quick_parse_anywhere,
#ifdef __x86_64__
		[MACHINE_AVX2] = quick_parse_avx2,
		[MACHINE_AVX512] = quick_parse_avx512,
#endif
	};
	return parsers[machine];
}
