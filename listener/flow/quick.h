/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_QUICK_H
#define VPCFLOWD_FLOW_QUICK_H

#include "base/machine.h"
#include "flow/flow.h"

/* Octets behind a line that the quick way may read, whatever they are. */
enum { QUICK_BEYOND = 80 };

/*
 * The fast way to what flow_parse does, for lines as AWS writes them: single spaces, numbers that fit
 * without leading zeros to make them longer. True: flow_parse says the same of the line, value by value.
 * False says nothing: ask flow_parse. QUICK_BEYOND octets behind the line must be there.
 */
typedef bool (*quick_parser)(struct flow *flow, const struct format *format, struct slice line);

/* One for each machine. */
bool quick_parse_anywhere(struct flow *flow, const struct format *format, struct slice line);
bool quick_parse_avx2(struct flow *flow, const struct format *format, struct slice line);
bool quick_parse_avx512(struct flow *flow, const struct format *format, struct slice line);
quick_parser quick_parser_of(enum machine machine);

#endif
