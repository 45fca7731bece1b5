/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_NUMBER_H
#define VPCFLOWD_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

/* Reads a decimal number of nothing but digits, at most `most`. */
MUST_CHECK static inline bool number_parse(struct slice text, uint64_t most, uint64_t *n)
{
	*n = 0;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
		if (digit > 9 || digit > most || *n > (most - digit) / 10)
			return false;
		*n = *n * 10 + digit;
	}
	return text.len > 0;
}

#endif
