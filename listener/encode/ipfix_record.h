/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_IPFIX_RECORD_H
#define VPCFLOWD_ENCODE_IPFIX_RECORD_H

#include "base/machine.h"
#include "encode/elements.h"

/* What records of a variant have: a bit for each element, and their octets. */
struct record_shape {
	unsigned variant;
	uint32_t elements;
	unsigned octets;
};

/* sums: the columns of sums of flows; NULL for flows. */
void record_shape_of(struct record_shape *s, unsigned variant, const struct format *sums);

/* The numbers of a record, each a field: those of a few digits, and those that may have many. */
#define RECORD_NARROW(X) X(SRCPORT) X(DSTPORT) X(PROTOCOL) X(TCP_FLAGS)
#define RECORD_WIDE(X)	 X(PACKETS) X(BYTES) X(START) X(END)

enum record_number {
#define X(field) RECORD_##field,
	RECORD_NARROW(X) RECORD_WIDE(X)
#undef X
		RECORD_NUMBERS
};

/* The field of each number. */
extern const enum field record_number_field[RECORD_NUMBERS];

/* Where a format has what every record asks for. */
struct record_columns {
	uint64_t serial; /* of the format */
	bool all;	 /* it has all of them, but for TCP's flags, which may be missing */
	bool tcp_flags;
	uint8_t number[RECORD_NUMBERS];
	uint8_t action;
	uint8_t interface_id;
	uint64_t asked[COLUMN_WORDS]; /* a bit for each of these columns */
};

void record_columns_of(struct record_columns *c, const struct format *format);

/* What of a flow is asked for more than once, or not by its record alone. */
struct record_facts {
	unsigned variant;
	uint64_t number[RECORD_NUMBERS];
	struct slice interface_id;
	uint32_t interface; /* that of its number */
	bool leaves;
	uint8_t forwarding;
	uint8_t firewall;
};

/* Columns are those of the flow's format; packet_addresses as element_variant has them. */
typedef void (*record_reader)(struct record_facts *f, const struct flow *flow,
			      const struct record_columns *columns, bool packet_addresses);

/* For any machine, and for those with AVX2. */
void record_facts_anywhere(struct record_facts *f, const struct flow *flow,
			   const struct record_columns *columns, bool packet_addresses);
void record_facts_avx2(struct record_facts *f, const struct flow *flow,
		       const struct record_columns *columns, bool packet_addresses);
record_reader record_reader_of(enum machine machine);

/*
 * Writes a record of a shape, that of the facts' variant: what element_of says, element by element. Gives
 * back where it ends, shape->octets on.
 */
char *record_put(char *to, const struct flow *flow, const struct record_facts *facts,
		 const struct record_shape *shape);

#endif
