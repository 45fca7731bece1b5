/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_UNIT_IPFIX_RIG_H
#define VPCFLOWD_TESTS_UNIT_IPFIX_RIG_H

#include "support.h"

#include "encode/announce.h"
#include "encode/encoder.h"
#include "flow/quick.h"
#include "ipfix_walk.h"

/*
 * An IPFIX encoder and a collector face to face: what the encoder has to send goes through the
 * walker, which must find nothing wrong, and is kept in the order it was seen.
 */

/* A template or a record that the collector saw. */
struct seen {
	bool is_record;
	unsigned message;	       /* which one of all, from 0 */
	struct walk_template template; /* the record's where it is one */
	struct walk_record record;     /* octets and template are its own */
};

struct rig {
	struct encoder encoder;
	struct source source; /* 192.0.2.1, domain 7, unless changed */
	struct origin origin;
	struct format format;
	struct flow flow;
	quick_parser quick; /* asked before flow_parse, unless NULL */
	char *line;	    /* what the flow borrows from */
	unsigned lane;
	uint64_t now_ms;
	struct batch batch; /* of flows, not sent yet */
	struct batch ahead;
	struct walk walk;
	struct buf stream; /* all messages of this session */
	struct seen **seen;
	unsigned count;
	unsigned messages;
};

/* The plain settings: TCP, 1400 octets, nothing opted for. */
struct encoder_settings rig_settings(void);
/* Begins the encoder, and the first session. columns: for AWS's elements; may be NULL. */
void rig_begin(struct rig *r, const struct encoder_settings *settings, const char *columns);
void rig_end(struct rig *r);

/* Parses a record; it is the rig's flow until the next. False when it does not fit the format. */
bool rig_parse(struct rig *r, const char *names, struct slice record);
void rig_read(struct rig *r, const char *names, const char *record);
/* Adds the flow to the batch, which is sent first when it is of another lane or full. */
void rig_add(struct rig *r);
/* A new session for both sides; what was seen is forgotten, the batch is not. */
void rig_session(struct rig *r);
/* Sends what has to be ahead; gives back how many messages that were. */
unsigned rig_ahead(struct rig *r, unsigned lane);
/* Sends the batch, and what has to be ahead of it. */
void rig_send(struct rig *r);
/* Forgets what was seen until now. */
void rig_forget(struct rig *r);

/* The nth record (from 0) of options that have an element of IANA's, or NULL. */
const struct walk_record *rig_option(const struct rig *r, uint16_t number, unsigned nth);
/* How many of them were seen, and how many of their templates. */
unsigned rig_options(const struct rig *r, uint16_t number);
unsigned rig_option_templates(const struct rig *r, uint16_t number);
unsigned rig_flow_templates(const struct rig *r);
/* The nth record of flows. */
const struct walk_record *rig_flow(const struct rig *r, unsigned nth);
unsigned rig_flows(const struct rig *r);

/* An element of IANA's in a record, which must have it. */
struct slice rig_octets(const struct walk_record *record, uint16_t number);
uint64_t rig_number(const struct walk_record *record, uint16_t number);

/* Two IPv4 addresses and nothing else. */
#define PLAIN	     "srcaddr dstaddr"
#define PLAIN_RECORD "10.0.0.1 10.0.0.2"

#endif
