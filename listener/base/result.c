/* SPDX-License-Identifier: Apache-2.0 */
/* Names and texts of the faults, out of the table in result.h. */
#include "base/result.h"

const char *fault_name(enum fault_code code)
{
	static const char *const names[] = {
#define X(code, name, text) [FAULT_##code] = (name),
		FAULTS(X)
#undef X
	};
	return names[code];
}

const char *fault_text(enum fault_code code)
{
	static const char *const texts[] = {
#define X(code, name, text) [FAULT_##code] = (text),
		FAULTS(X)
#undef X
	};
	return texts[code];
}
