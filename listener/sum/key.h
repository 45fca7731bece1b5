/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SUM_KEY_H
#define VPCFLOWD_SUM_KEY_H

#include "base/buf.h"
#include "base/limits.h"
#include "flow/flow.h"

/*
 * The values that identify a sum, as octets: the same for two flows when they agree in all keys, by
 * value and not as written (10 is 010, ::1 is 0:0:0:0:0:0:0:1), and in memcmp's order that of the
 * values, column by column, what is not there first.
 *
 *   srcaddr         srcport      vpc-id            dstport
 *   4 10.0.0.1      1 443        v p c - 1 NUL     0 (not there)
 *   '1'  '--4--'    '1' '2'      '---- len + 1 --' '1'
 *
 * Numbers are as wide as their kind, in network order; texts have no NUL, since records have none.
 */
enum { KEY_LIMIT = LINE_LIMIT + COLUMN_LIMIT * 17 };

/* Room for the texts of numbers and addresses of one flow. */
enum { KEY_TEXTS = COLUMN_LIMIT * ADDRESS_TEXT };

/* Writes the first so many columns of a format, as a flow has them, into KEY_LIMIT octets of room. */
struct slice key_of(const struct flow *flow, const struct format *format, unsigned keys,
		    char *room);

/*
 * The way back: sets these columns of the flow, whose format must be this one. Their texts live in
 * the key, or in *texts, which is emptied first and has room for KEY_TEXTS octets.
 */
void key_show(struct slice key, unsigned keys, struct flow *flow, struct buf *texts);
/* A number as the value of a column; 20 octets of texts. */
void key_show_number(uint64_t number, struct value *v, struct buf *texts);

#endif
