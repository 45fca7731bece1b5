/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_ANNOUNCE_H
#define VPCFLOWD_ENCODE_ANNOUNCE_H

#include <sys/queue.h>

#include "encode/elements.h"
#include "encode/encoder.h"
#include "encode/names.h"

/*
 * What an observation domain tells about its flow records, as IPFIX Messages of libfixbuf's making:
 * templates, the types of AWS's elements, and facts in options. The data records themselves are
 * written by ipfix.c after the same tables.
 */

/* Template IDs, the same in every domain; a flow's is TEMPLATE_FLOW plus its variant. */
enum template {
	TEMPLATE_FLOW = 256,
	TEMPLATE_SAMPLING = TEMPLATE_FLOW + VARIANT_COUNT,
	TEMPLATE_EXPORTER_V4,
	TEMPLATE_EXPORTER_V6,
	TEMPLATE_DOMAIN,
	TEMPLATE_INTERFACE,
	TEMPLATE_LOSS,
	TEMPLATE_TYPE,
};

/* What to tell, to be combined. */
enum topic {
	TOPIC_TYPES = 1,     /* of AWS's elements, if there are any (RFC 5610) */
	TOPIC_TEMPLATES = 2, /* every one, those of options too */
	TOPIC_DOMAIN = 4,    /* sampling, exporter, name */
	TOPIC_NAMES = 8,     /* interfaces that were not told yet */
	TOPIC_LOSS = 16,
};

/* With its NUL; of fixed length in options, as nfacctd takes variable-length records for gaps. */
enum { DOMAIN_NAME_ROOM = 128 };

/* The facts of a domain. */
struct domain_facts {
	struct address exporter;
	char name[DOMAIN_NAME_ROOM]; /* padded with NUL; empty when it has none */
	struct names names;
	struct tally not_sent; /* since the start */
};

/* A message, not yet stamped. */
struct message {
	STAILQ_ENTRY(message) link;
	unsigned records;
	size_t len;
	char octets[];
};
STAILQ_HEAD(messages, message);

/* What the domains of an encoder share: the information model, and room for a message. */
struct announce_model;

/* settings and columns (whose AWS elements a record has) must outlive it. NULL without memory. */
struct announce_model *announce_model_new(const struct encoder_settings *settings,
					  const struct format *columns);
void announce_model_free(struct announce_model **m);

/* Encodes for one domain. */
struct announcer;

/* The model must outlive it. NULL without memory. */
struct announcer *announcer_new(struct announce_model *model, uint32_t domain);
void announcer_free(struct announcer **a);
/*
 * Appends the messages that tell these topics, none larger than settings->message_size; marks the
 * names as told. variants: a bit for each variant whose template is told. False without memory; then
 * everything has to be told again.
 */
MUST_CHECK bool announce(struct announcer *a, unsigned topics, uint32_t variants,
			 struct domain_facts *facts, struct messages *to);

/*
 * Whether a field is an element of AWS's own in records with these columns. Quantities (U64) are
 * unsigned64, everything else is a string as AWS wrote it, so that "not there" and 0 stay two things.
 */
bool announce_has_field(const struct format *columns, enum field field);
/* Octets of the largest template; a message must hold it. */
size_t announce_least_message(const struct encoder_settings *settings,
			      const struct format *columns);

#endif
