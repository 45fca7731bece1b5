/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_CJSON_DIFFERS_H
#define VPCFLOWD_CJSON_DIFFERS_H

#include <stdbool.h>

#include "base/slice.h"

/* Where cJSON 1.7 is known not to follow RFC 8259. Each is a reason to look no further. */
struct cjson_differs {
	/* What cJSON takes and RFC 8259 does not. */
	bool mark;    /* a byte order mark before the text (RFC 8259 section 8.1) */
	bool space;   /* any octet below 0x20 between tokens counts as white space */
	bool control; /* octets below 0x20 in strings are not escaped */
	bool number;  /* strtod's grammar: 01, 1., -.5 */
	bool hex;     /* \u and no hex digits stands for U+0000 */
	/* What RFC 8259 takes and cJSON does not. */
	bool surrogate;	  /* half of a pair: the grammar takes it, UTF-8 cannot say it */
	bool long_number; /* numbers of more than 63 octets */
	/* What both take, and see differently. */
	bool name; /* names, and messageType's value, are compared as written: "mess\u0061ge" */
	unsigned depth; /* the deepest level */
};

/* Looks through text that cJSON or the scanner took. */
struct cjson_differs cjson_differs(struct slice text);

#endif
