/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_UNIT_IPFIX_WALK_H
#define VPCFLOWD_TESTS_UNIT_IPFIX_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * Reads the IPFIX Messages of a session as RFC 7011 describes them, strictly: it knows no element, no
 * template but those it was sent, and nothing of the encoder. Beyond the RFC it refuses what real
 * collectors fail at: withdrawals, padding, two Options Templates in a set, a template that changes.
 */
enum { WALK_ELEMENTS = 128, WALK_TEMPLATES = 48, WALK_DOMAINS = 8 };
enum { WALK_VARIABLE = 65535 };

struct walk_element {
	uint32_t enterprise; /* 0: IANA's */
	uint16_t number;
	uint16_t octets; /* or WALK_VARIABLE */
};

struct walk_template {
	unsigned id;
	unsigned scope; /* elements of the scope; 0: not an Options Template */
	unsigned count;
	struct walk_element element[WALK_ELEMENTS];
};

struct walk_domain {
	uint32_t number;
	uint32_t sequence; /* of the next message */
	unsigned templates;
	struct walk_template template[WALK_TEMPLATES];
};

/* Octets of a message, as long as that is there. */
struct walk_record {
	uint32_t domain;
	const struct walk_template *template;
	struct slice octets;
};

/* What the last message was. */
struct walk_message {
	uint32_t domain;
	uint32_t time;
	uint32_t sequence;
	unsigned sets;
	unsigned templates; /* of both kinds */
	unsigned records;
};

struct walk {
	/* Called for each, in the order they are in; set these before the first message. */
	void (*on_template)(void *context, uint32_t domain, const struct walk_template *t);
	void (*on_record)(void *context, const struct walk_record *record);
	void *context;
	unsigned domains;
	struct walk_domain domain[WALK_DOMAINS];
	struct walk_message message;
};

/* Nothing is known any more, and sequence numbers begin at 0. */
void walk_new_session(struct walk *w);
/* Reads a whole message. NULL, or what is wrong with it. */
const char *walk_message(struct walk *w, struct slice message);

/* A record's value of an element; false when its template has none. */
bool walk_value(const struct walk_record *record, uint32_t enterprise, uint16_t number,
		struct slice *value);
/* The value of the element at this place of the template. */
struct slice walk_value_at(const struct walk_record *record, unsigned place);
bool walk_has(const struct walk_template *t, uint32_t enterprise, uint16_t number);
/* At most 8 octets as a number. */
uint64_t walk_number(struct slice value);

#endif
